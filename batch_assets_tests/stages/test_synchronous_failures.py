"""What the failure of a synchronous request means, and what a run that ended in one leaves."""

import socket
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from batch_assets.domain.errors import ApiError
from batch_assets.openai_batch.client import BatchApi
from batch_assets.openai_batch.operations import Timeouts
from batch_assets.stages.circuit_breakers import CircuitBreakerGuard
from batch_assets.stages.synchronous_caller import INDETERMINATE
from batch_assets.store.breakers import Breakers
from batch_assets.store.conservation import Conservation
from batch_assets_tests.stages.support import API_KEY, Lab, call_rule, refusal
from batch_assets_tests.stages.synchronous_support import (
    ON,
    Killed,
    ask,
    calls,
    failed,
    only,
    waiting,
    watching,
)

pytestmark = pytest.mark.parametrize("pipeline", ["optimized"], indirect=True)


def on(lab: Lab, **changes: Any) -> Lab:
    return lab.under(synchronous=ON, **changes)


def test_a_refused_request_is_dead_and_the_others_are_called(lab: Lab) -> None:
    failed(lab, 3)
    lab.configure(calls=[call_rule("chat", refusal(400, "invalid_value"), count=1)])
    report = on(lab).retry_failed()
    assert (report.synchronous.synchronous_calls, report.synchronous.synchronous_failed) == (3, 1)
    assert lab.bucket_counts() == {"complete": 2, "dead": 1}
    (letter,) = lab.desk.rows("SELECT failure_kind, code FROM batch_assets.dead_letter")
    assert tuple(letter) == ("permanent", "invalid_value")


def test_an_answer_that_is_of_no_use_is_paid_and_tried_again(lab: Lab) -> None:
    (request_id,) = failed(lab, 1)
    lab.configure(rows=[{"where": "live", "effect": {"kind": "content"}}])
    report = on(lab, retry_base_seconds=600).retry_failed()
    assert lab.bucket_counts() == {"retry": 1}
    assert lab.desk.retry(request_id).attempts == 2
    assert report.synchronous.synchronous_cost_eur > 0
    assert lab.desk.request(request_id).totalCostEur == pytest.approx(
        report.synchronous.synchronous_cost_eur
    )


def test_where_there_is_no_room_no_attempt_counts_and_other_models_go_on(lab: Lab) -> None:
    small = failed(lab, 3)
    large = failed(lab, 1, model="gpt-4.1")
    full = refusal(429, "rate_limit_exceeded")
    lab.configure(calls=[call_rule("chat", full, count=1)])
    report = on(lab, retry_base_seconds=600).retry_failed()
    assert (report.synchronous.synchronous_calls, report.synchronous.synchronous_returned) == (2, 2)
    assert lab.bucket_counts() == {"retry": 1, "waiting": 2, "complete": 1}
    put_off = lab.desk.value("SELECT request_id FROM batch_assets.retry")
    assert put_off in small
    row = lab.desk.retry(put_off)
    assert (row.failure_kind, row.attempts) == ("capacity", 1)
    assert calls(lab, large[0]) == 1


def test_no_more_is_claimed_once_there_was_no_room(lab: Lab) -> None:
    failed(lab, 3)
    lab.configure(calls=[call_rule("chat", refusal(429), count=1)])
    one_by_one = lab.under(synchronous=only(requests_per_claim=1), retry_base_seconds=600)
    report = one_by_one.retry_failed()
    assert (report.synchronous.synchronous_batches, report.requeued) == (1, 2)


def test_a_refused_account_ends_it_and_the_rest_waits(lab: Lab) -> None:
    failed(lab, 3)
    lab.configure(calls=[call_rule("chat", refusal(401, "invalid_api_key"))])
    with pytest.raises(ApiError, match="chat_completion"):
        on(lab, retry_base_seconds=600).retry_failed()
    assert lab.bucket_counts() == {"retry": 1, "waiting": 2}
    assert lab.batches("ended") == []


@pytest.mark.parametrize(
    ("effect", "billed"),
    [
        ({"kind": "drop", "work": "done"}, 1),
        ({"kind": "drop", "work": "never"}, 0),
        (refusal(500, work_done=True), 1),
        (refusal(503), 0),
        ({"kind": "truncate", "after_bytes": 40, "framing": "silent"}, 1),
    ],
    ids=["answer lost", "request lost", "500 and done", "503", "answer cut"],
)
def test_what_may_have_been_paid_for_is_never_sent_again_unasked(
    lab: Lab, effect: dict[str, Any], billed: int
) -> None:
    ids = failed(lab, 3)
    lab.configure(calls=[call_rule("chat", effect)])
    report = on(lab).retry_failed()
    assert (report.synchronous.synchronous_calls, report.synchronous.synchronous_unknown) == (1, 1)
    assert lab.bucket_counts() == {"dead": 1, "waiting": 2}
    (letter,) = lab.desk.rows("SELECT * FROM batch_assets.dead_letter")
    assert (letter.failure_kind, letter.code) == ("indeterminate", INDETERMINATE)
    assert f"{letter.batch_id}/{letter.request_id}" in letter.reason
    lab.configure()
    on(lab).finish()
    assert sum(calls(lab, one) for one in ids) == billed
    assert lab.bucket_counts() == {"dead": 1, "complete": 2}


def test_a_late_answer_is_unknown_too(lab: Lab) -> None:
    (request_id,) = failed(lab, 1)
    lab.configure(calls=[call_rule("chat", {"kind": "delay", "seconds": 0.6, "when": "after"})])
    timeouts = Timeouts(connect=5, read=5, create=0.3, upload=5)
    with BatchApi(API_KEY, lab.server.base_url, timeouts=timeouts) as api:
        assert on(lab).using(api).retry_failed().synchronous.synchronous_unknown == 1
    assert (lab.bucket_counts(), calls(lab, request_id)) == ({"dead": 1}, 1)


def test_what_was_never_sent_waits_and_nothing_counts(lab: Lab) -> None:
    ids = failed(lab, 3)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nowhere = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
    with BatchApi(API_KEY, nowhere) as api:
        report = on(lab).using(api).retry_failed()
    assert (report.synchronous.synchronous_calls, report.synchronous.synchronous_returned) == (0, 3)
    assert lab.bucket_counts() == {"waiting": 3}
    counted = "SELECT count(*) FROM batch_assets.attempt WHERE counted"
    assert lab.desk.value(counted) == len(ids)


def test_nothing_is_claimed_while_the_breaker_is_open(lab: Lab) -> None:
    breakers = Breakers(lab.desk.engine)
    quick = on(lab, breaker_failures=1, breaker_seconds=600)
    guard = CircuitBreakerGuard(breakers, quick.pipeline.policy, known=breakers.all)
    lab.configure(calls=[call_rule("chat", refusal(500))])
    ask(lab, waiting(lab, 3))
    with BatchApi(API_KEY, lab.server.base_url, guard=guard) as api:
        guarded = quick.using(api)
        assert guarded.retry_failed().synchronous.synchronous_unknown == 1
        assert [one.operation for one in breakers.all()] == ["chat_completion"]
        ask(lab, waiting(lab, 1))
        report = guarded.retry_failed().synchronous
        assert (report.synchronous_batches, report.synchronous_held) == (0, {})
        assert (
            "The API is not asked to answer synchronous requests now"
            in report.synchronous_held_because
        )


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE batch_assets.installation SET database_name = 'elsewhere'",
        "UPDATE batch_assets.installation SET confirmed_at = NULL",
    ],
    ids=["a copy", "not confirmed"],
)
def test_nothing_is_sent_from_where_nothing_may_be(lab: Lab, change: str) -> None:
    ids = waiting(lab, 1)
    ask(lab, ids)
    lab.desk.do(change)
    report = on(lab).retry_failed().synchronous
    assert (
        report.synchronous_batches,
        "`batch-assets confirm" in report.synchronous_held_because,
    ) == (0, True)
    assert lab.bucket_counts() == {"waiting": 1}


def killed(lab: Lab, *, marked: bool) -> None:
    """A run that is killed before it marks anything, or before it calls what it has marked."""

    def end() -> None:
        raise Killed

    running = watching(on(lab), end)
    if not marked:
        running.pipeline.synchronous_batches.__dict__["mark_called"] = lambda _rows: end()
    with pytest.raises(Killed):
        running.retry_failed()


def test_what_a_killed_run_never_called_waits_again(lab: Lab) -> None:
    ids = failed(lab, 2)
    killed(lab, marked=False)
    assert lab.bucket_counts() == {"in_batch": 2}
    assert lab.ingest().rows.returned == 2
    assert lab.bucket_counts() == {"waiting": 2}
    on(lab).finish()
    assert lab.bucket_counts() == {"complete": 2}
    assert [calls(lab, one) for one in ids] == [0, 0]


def test_what_a_killed_run_was_about_to_call_is_dead(lab: Lab) -> None:
    failed(lab, 3)
    killed(lab.under(concurrent_companies=2), marked=True)
    report = lab.ingest()
    assert (report.rows.dead, report.rows.returned, report.finalized) == (2, 1, 1)
    assert report.failures == {INDETERMINATE: 2}
    assert lab.bucket_counts() == {"dead": 2, "waiting": 1}
    assert Conservation(lab.desk.engine).all_rows().is_clean
    on(lab).finish()
    assert lab.bucket_counts() == {"dead": 2, "complete": 1}


def test_a_frozen_run_that_wakes_calls_nothing_and_changes_nothing(lab: Lab) -> None:
    ids = failed(lab, 3)

    def freeze() -> None:
        lab.desk.do(
            "UPDATE batch_assets.batch SET lease_expires_at = 'epoch' WHERE kind = 'synchronous'"
        )
        assert lab.ingest().finalized == 1

    # So short a lease is asked for before each call.
    report = watching(on(lab, lease_seconds=30, concurrent_companies=2), freeze).retry_failed()
    assert (report.synchronous.synchronous_calls, report.synchronous.synchronous_completed) == (
        0,
        0,
    )
    assert lab.bucket_counts() == {"dead": 2, "waiting": 1}
    assert [calls(lab, one) for one in ids] == [0, 0, 0]


def test_a_session_that_is_deleted_before_the_call_is_not_called(lab: Lab) -> None:
    gone, stays = failed(lab, 2)
    pipeline = replace(on(lab).pipeline)
    conversations = pipeline.queries.conversations

    def read(batch_ids: Sequence[str]) -> list[Any]:
        found = list(conversations(batch_ids))
        lab.desk.delete_session(gone)
        return found

    pipeline.queries.__dict__["conversations"] = read
    assert replace(lab, pipeline=pipeline).retry_failed().synchronous.synchronous_calls == 1
    assert (calls(lab, gone), calls(lab, stays)) == (0, 1)
    assert lab.bucket_counts() == {"complete": 1}


def test_a_session_that_is_deleted_during_the_call_costs_what_it_costs(lab: Lab) -> None:
    gone, _ = failed(lab, 2)
    watched = watching(on(lab, concurrent_companies=2), lambda: lab.desk.delete_session(gone))
    watched.retry_failed()
    discarded = "SELECT cost_eur FROM batch_assets.attempt WHERE outcome = 'discarded'"
    assert lab.desk.value(discarded) > 0
    assert lab.bucket_counts() == {"complete": 1}
    assert Conservation(lab.desk.engine).all_rows().is_clean


def test_a_company_that_is_suspended_meanwhile_is_not_called(lab: Lab) -> None:
    ids = failed(lab, 2)
    lab_on = watching(
        on(lab), lambda: lab.desk.do("UPDATE public.\"Company\" SET status = 'SUSPENDED'")
    )
    report = lab_on.retry_failed()
    assert (report.synchronous.synchronous_calls, report.synchronous.synchronous_returned) == (1, 1)
    assert sum(calls(lab, one) for one in ids) == 1


def test_an_answer_for_which_no_call_was_written_down_is_found(lab: Lab) -> None:
    failed(lab, 2)
    on(lab).retry_failed()
    lab.desk.do("UPDATE batch_assets.attempt SET called_at = NULL")
    (found,) = Conservation(lab.desk.engine).open_rows(600).violations
    assert (found.kind, found.count) == ("answered_uncalled", 2)
