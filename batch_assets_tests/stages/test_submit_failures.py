"""Every failure of the two creating calls: where the batch ends; nothing is bought twice."""

from typing import Any

import pytest

from batch_assets.domain.errors import ApiError, FailureKind
from batch_assets.openai_batch.client import BatchApi
from batch_assets_tests.stages.support import API_KEY, Lab, call_rule, refusal

CALLS = ("files.create", "batches.create")
NOBODY = "http://127.0.0.1:9/v1"
"""Port 9 is refused at once: nothing listens there."""

UNKNOWN: dict[str, dict[str, Any]] = {
    "500 before the work": refusal(500),
    "503 after the work": refusal(503, work_done=True),
    "408": refusal(408),
    "409": refusal(409),
    "dropped before": {"kind": "drop", "work": "never"},
    "dropped after": {"kind": "drop", "work": "done"},
}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "400": (refusal(400, "invalid_value"), "invalid_value"),
    "404": (refusal(404), "not_found"),
    "429": (refusal(429, "rate_limit_exceeded"), "rate_limit_exceeded"),
    "400 no room": (refusal(400, "token_limit_exceeded"), "token_limit_exceeded"),
}
NO_SUCH_CALL = ("files.create", "404")
"""Where a file cannot even be uploaded, there is no such API."""
ACCOUNT: dict[str, dict[str, Any]] = {
    "401": refusal(401, "invalid_api_key"),
    "403": refusal(403),
    "no quota": refusal(429, "insufficient_quota"),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("failure", UNKNOWN)
def test_an_unknown_outcome_is_left_to_be_looked_up(lab: Lab, call: str, failure: str) -> None:
    _, ids = lab.company(2)
    lab.configure(calls=[call_rule(call, UNKNOWN[failure])])
    report = lab.submit()
    assert (report.batches, report.released, report.unresolved) == (0, 0, 1)
    (batch_id,) = lab.batches("claimed" if call == "files.create" else "uploaded")
    assert lab.desk.batch(batch_id).lease_owner is None
    assert lab.bucket_counts() == {"in_batch": 2}
    lab.configure()
    assert lab.submit().requests == 0, "its rows are not sent again meanwhile"
    lab.finish()
    assert lab.bucket_counts() == {"complete": 2}
    assert lab.times_billed(ids) == [1, 1]
    assert len(lab.remote_batches()) == 1
    lab.clean()
    assert lab.remote_files() == []


@pytest.mark.parametrize(
    ("call", "failure"),
    [(call, failure) for call in CALLS for failure in REFUSED if (call, failure) != NO_SUCH_CALL],
)
def test_a_refusal_gives_the_batch_back_and_lets_its_model_rest(
    lab: Lab, call: str, failure: str
) -> None:
    effect, code = REFUSED[failure]
    _, ids = lab.company(2)
    lab.configure(calls=[call_rule(call, effect)])
    report = lab.submit()
    assert (report.batches, report.released, report.unresolved) == (0, 1, 0)
    assert len(lab.batches("released")) == 1
    assert lab.bucket_counts() == {"waiting": 2}
    assert lab.remote_files() == []
    pauses = lab.desk.column_pairs("SELECT model, reason FROM batch_assets.model_cooldown")
    assert pauses == [("gpt-4o-mini", code)]
    lab.configure()
    assert lab.submit().held == {f"model gpt-4o-mini is in cooldown: {code}": 2}
    lab.desk.do("DELETE FROM batch_assets.model_cooldown")
    lab.finish()
    assert lab.times_billed(ids) == [1, 1]


@pytest.mark.parametrize("effect", [REFUSED["404"][0], refusal(405)])
def test_an_address_without_the_api_stops_the_run_and_says_so(
    lab: Lab, effect: dict[str, Any]
) -> None:
    _, ids = lab.company(2)
    lab.configure(calls=[call_rule("files.create", effect)])
    with pytest.raises(ApiError) as refused:
        lab.submit()
    assert "OPENAI_BASE_URL" in refused.value.sentence("try again")
    assert lab.bucket_counts() == {"waiting": 2}
    lab.configure()
    assert lab.submit().requests == 2, "its model is not in cooldown"
    lab.read_to_the_end()
    assert lab.times_billed(ids) == [1, 1]


def test_a_model_rests_for_as_long_as_the_server_asks(lab: Lab) -> None:
    lab.company(1)
    effect = refusal(429, headers={"retry-after": "77"})
    lab.configure(calls=[call_rule("batches.create", effect)])
    lab.submit()
    left = lab.desk.value(
        "SELECT extract(epoch FROM until - now())::float8 FROM batch_assets.model_cooldown"
    )
    assert 72 <= left <= 1.5 * 77, "and up to half as long again"


def test_a_full_model_is_not_asked_for_again_but_others_are(lab: Lab) -> None:
    company_id, _ = lab.company(3)
    lab.more(company_id, 1, model="gpt-4.1")
    effect = refusal(429, "rate_limit_exceeded")
    lab.configure(calls=[call_rule("files.create", effect, count=1)])
    report = lab.under(max_batch_requests=1).submit()
    assert (report.batches, report.released) == (1, 3)
    assert len(lab.remote_files()) == 1
    lab.read_to_the_end()
    assert lab.bucket_counts() == {"complete": 1, "waiting": 3}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("failure", ACCOUNT)
def test_a_refused_account_stops_the_run_with_everything_given_back(
    lab: Lab, call: str, failure: str
) -> None:
    for _ in range(3):
        lab.company(1)
    lab.configure(calls=[call_rule(call, ACCOUNT[failure], after=1)])
    with pytest.raises(ApiError) as refused:
        lab.submit()
    assert refused.value.failure.kind is FailureKind.ACCOUNT
    assert API_KEY not in str(refused.value)
    sent = 0 if call == "files.create" else 1
    assert len(lab.batches("submitted")) == sent
    assert len(lab.batches("released")) == 3 - sent
    lab.configure()
    lab.clean()
    assert len(lab.remote_files()) == sent
    reasons = lab.desk.column("DELETE FROM batch_assets.account_cooldown RETURNING reason")
    assert reasons == (["insufficient_quota"] if failure == "no quota" else [])
    lab.finish()
    assert lab.bucket_counts() == {"complete": 3}


def test_a_server_that_cannot_be_reached_stops_the_run_at_once(lab: Lab) -> None:
    for _ in range(3):
        lab.company(1)
    with BatchApi(API_KEY, NOBODY) as api, pytest.raises(ApiError) as unreachable:
        lab.using(api).submit()
    assert unreachable.value.failure.kind is FailureKind.TRANSIENT
    assert len(lab.batches("released")) == 3
    assert lab.bucket_counts() == {"waiting": 3}


def test_a_create_that_acts_after_it_was_given_up_is_refused_by_the_deleted_file(
    lab: Lab,
) -> None:
    _, ids = lab.company(2)
    late = {"kind": "drop", "work": "later", "later_seconds": 0.3}
    lab.configure(calls=[call_rule("batches.create", late)])
    assert lab.submit().unresolved == 1
    looked = lab.recover()
    assert (looked.absent, looked.files_deleted) == (1, 1)
    lab.finish()
    assert lab.bucket_counts() == {"complete": 2}
    assert lab.times_billed(ids) == [1, 1]


def test_one_batch_that_fails_does_not_stop_the_others(lab: Lab) -> None:
    for _ in range(4):
        lab.company(1)
    lab.configure(
        calls=[
            call_rule("files.create", refusal(500), after=1, count=1),
            call_rule("batches.create", {"kind": "drop", "work": "done"}, after=1, count=1),
        ]
    )
    report = lab.submit()
    assert (report.batches, report.unresolved, report.released) == (2, 2, 0)
    assert len(lab.batches("submitted")) == 2


@pytest.mark.parametrize("call", CALLS)
def test_an_answer_that_cannot_be_read_is_an_unknown_outcome(lab: Lab, call: str) -> None:
    _, ids = lab.company(1)
    cut = {"kind": "truncate", "after_bytes": 10, "framing": "silent"}
    lab.configure(calls=[call_rule(call, cut)])
    assert lab.submit().unresolved == 1
    lab.finish()
    assert lab.times_billed(ids) == [1]
    assert len(lab.remote_batches()) == 1
