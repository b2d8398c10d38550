"""Synchronous requests: which they are, what they cost, and how many there may be."""

from datetime import timedelta

import pytest
from sqlalchemy import event

from batch_assets.domain.policy import Caps, SynchronousPolicy
from batch_assets.stages.synchronous_requests import synchronous_terms
from batch_assets.store.conservation import Conservation
from batch_assets.store.protocol import Spent
from batch_assets_tests.policies import a_synchronous_policy
from batch_assets_tests.stages.support import Lab
from batch_assets_tests.stages.synchronous_support import ON, ask, calls, failed, only, waiting


def test_what_a_batch_would_bring_too_late_is_sent_live_at_the_full_price(lab: Lab) -> None:
    ids = failed(lab, 3)
    report = lab.under(synchronous=ON, concurrent_companies=2).retry_failed()
    assert (
        report.requeued,
        report.synchronous.synchronous_calls,
        report.synchronous.synchronous_completed,
    ) == (
        0,
        3,
        3,
    )
    assert lab.bucket_counts() == {"complete": 3}
    assert [calls(lab, one) for one in ids] == [1, 1, 1]

    (batch_id,) = lab.desk.column("SELECT id FROM batch_assets.batch WHERE kind = 'synchronous'")
    batch, told = lab.desk.batch(batch_id), lab.desk.livedash_batch(batch_id)
    assert (batch.state, batch.completed, batch.input_file_id) == ("finalized", 3, None)
    assert (
        batch.cost_eur
        == batch.synchronous_cost_eur
        == pytest.approx(report.synchronous.synchronous_cost_eur)
    )
    assert batch.cost_eur > 0
    assert (told.status, told.openaiBatchId) == ("PROCESSED", f"live:{batch_id}")
    assert told.completedAt is not None

    price = lab.pipeline.price_of("gpt-4o-mini")
    assert price is not None
    row = lab.desk.request(ids[0])
    assert row.promptTokenCost == pytest.approx(price.synchronous.prompt)
    assert row.openaiRequestId.startswith("chatcmpl-")
    assert lab.desk.session(ids[0]).sentiment == "POSITIVE"
    assert Conservation(lab.desk.engine).all_rows().is_clean


def test_live_batches_have_nothing_on_the_server(lab: Lab) -> None:
    failed(lab)
    lab.under(synchronous=ON).retry_failed()
    assert lab.clean() == 1
    assert lab.poll().in_flight == 0
    assert lab.recover().adopted == 0
    assert [one.status for one in lab.remote_batches()] == ["completed"]


def test_nothing_is_sent_live_unless_it_is_turned_on(lab: Lab) -> None:
    ids = failed(lab)
    ask(lab, ids)
    report = lab.retry_failed()
    assert (report.requeued, report.synchronous.synchronous_calls) == (2, 0)
    assert lab.bucket_counts() == {"waiting": 2}
    assert [calls(lab, one) for one in ids] == [0, 0]


@pytest.mark.parametrize("live", [a_synchronous_policy(), ON], ids=["off", "on"])
def test_what_there_is_not_costs_no_statement(lab: Lab, live: SynchronousPolicy) -> None:
    sent: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        sent.append(statement)

    event.listen(lab.desk.engine, "before_cursor_execute", note)
    try:
        lab.under(synchronous=live).retry_failed()
    finally:
        event.remove(lab.desk.engine, "before_cursor_execute", note)
    assert len(sent) == 1, "the snapshot tells all"


@pytest.mark.parametrize("pipeline", ["optimized"], indirect=True)
class TestWhich:
    """Which requests are sent synchronously."""

    def test_those_with_time_wait_for_a_batch(self, lab: Lab) -> None:
        ids = failed(lab, age=timedelta(hours=21))
        report = lab.under(synchronous=ON).retry_failed()
        assert (report.requeued, report.synchronous.synchronous_calls) == (2, 0)
        assert [calls(lab, one) for one in ids] == [0, 0]

    def test_none_is_sent_before_its_retry_date(self, lab: Lab) -> None:
        failed(lab.under(retry_base_seconds=600))
        assert lab.under(synchronous=ON).retry_failed().synchronous.synchronous_calls == 0
        assert lab.bucket_counts() == {"retry": 2}

    def test_an_operator_may_ask_for_what_waits_is_put_off_or_dead(self, lab: Lab) -> None:
        put_off = failed(lab.under(retry_base_seconds=600), 2, age=timedelta(0))
        dead = failed(lab.under(max_attempts=1), 2, age=timedelta(0))
        waits = waiting(lab, 2)
        assert lab.bucket_counts() == {"retry": 2, "dead": 2, "waiting": 2}
        asked = [put_off[0], dead[0], waits[0]]
        ask(lab, asked)
        report = lab.under(synchronous=ON).retry_failed()
        assert (
            report.synchronous.synchronous_completed,
            report.synchronous.synchronous_batches,
        ) == (3, 3)
        assert lab.bucket_counts() == {"complete": 3, "retry": 1, "dead": 1, "waiting": 1}
        assert lab.desk.column("SELECT request_id FROM batch_assets.synchronous_request") == []
        assert lab.desk.intake() == {waits[1]}

    def test_what_was_asked_for_goes_first(self, lab: Lab) -> None:
        failed(lab, 2)
        (asked,) = failed(lab.under(max_attempts=1), 1, age=timedelta(0))
        ask(lab, [asked])
        one = lab.under(synchronous=only(run_requests=1))
        assert one.retry_failed().synchronous.synchronous_calls == 1
        assert calls(lab, asked) == 1

    def test_one_ask_is_one_try(self, lab: Lab) -> None:
        (asked,) = failed(lab.under(max_attempts=1), 1)
        ask(lab, [asked])
        lab.configure(rows=[{"where": "live", "effect": {"kind": "content"}}])
        lab.under(synchronous=ON, max_attempts=1).retry_failed()
        assert lab.bucket_counts() == {"dead": 1}
        assert lab.under(synchronous=ON).retry_failed().synchronous.synchronous_calls == 0

    def test_an_ask_that_is_moot_is_forgotten(self, lab: Lab) -> None:
        done, gone = waiting(lab, 2)
        ask(lab, [done, gone])
        lab.desk.delete_session(gone)
        lab.submit()
        lab.read_to_the_end()
        assert lab.bucket_counts() == {"complete": 1}
        lab.under(synchronous=ON).retry_failed()
        assert lab.desk.column("SELECT request_id FROM batch_assets.synchronous_request") == []

    def test_nothing_of_a_suspended_company_is_sent(self, lab: Lab) -> None:
        ids = failed(lab, 2)
        ask(lab, ids[:1])
        lab.desk.do("UPDATE public.\"Company\" SET status = 'SUSPENDED'")
        report = lab.under(synchronous=ON).retry_failed()
        assert (report.synchronous.synchronous_batches, report.requeued) == (0, 2)
        assert calls(lab, ids[0]) == 0

    def test_what_can_never_be_sent_is_not_sent_live_either(self, lab: Lab) -> None:
        ids = failed(lab, 2)
        ask(lab, ids[:1])
        lab.desk.do('DELETE FROM public."Message"')
        report = lab.under(synchronous=ON).retry_failed()
        assert (report.synchronous.synchronous_batches, report.requeued) == (0, 2)
        assert lab.desk.column("SELECT request_id FROM batch_assets.synchronous_request") == []


@pytest.mark.parametrize("pipeline", ["optimized"], indirect=True)
class TestBudgets:
    """How many are sent synchronously; the others wait for a batch."""

    def test_of_a_run(self, lab: Lab) -> None:
        failed(lab, 5)
        report = lab.under(synchronous=only(run_requests=3, requests_per_claim=2)).retry_failed()
        assert (
            report.synchronous.synchronous_calls,
            report.synchronous.synchronous_batches,
            report.requeued,
        ) == (3, 2, 2)
        assert report.synchronous.synchronous_held == {"cap on requests": 2}

    def test_of_a_day(self, lab: Lab) -> None:
        failed(lab, 3)
        few = lab.under(synchronous=only(day_requests=2))
        assert few.retry_failed().synchronous.synchronous_calls == 2
        failed(lab, 2)
        assert few.retry_failed().synchronous.synchronous_calls == 0
        lab.desk.do("UPDATE batch_assets.batch SET claimed_at = claimed_at - interval '1 day'")
        failed(lab, 1)
        assert few.retry_failed().synchronous.synchronous_calls == 2

    def test_of_a_day_in_euros_at_the_live_price(self, lab: Lab) -> None:
        failed(lab, 3)
        estimates = lab.desk.value("SELECT max(estimated_cost_eur) FROM batch_assets.batch")
        each = 2 * estimates / 3
        few = lab.under(synchronous=only(day_cost_eur=2.5 * each)).pipeline
        seen = few.read_snapshot()
        terms, holder = synchronous_terms(few, seen), few.holder(seen.installation.id)
        claim = few.synchronous_batches.claim(terms, holder, Spent())
        assert sum(batch.requests for batch in claim.batches) == 2
        assert claim.held == {"cap on estimated cost": 1}
        spent = "SELECT sum(estimated_cost_eur) FROM batch_assets.batch WHERE kind = 'synchronous'"
        assert lab.desk.value(spent) == pytest.approx(2 * each)
        again = few.synchronous_batches.claim(terms, holder, Spent())
        assert again.batches == (), "what is open counts as estimated"

    def test_of_a_day_in_euros_counts_what_answers_have_cost(self, lab: Lab) -> None:
        failed(lab, 3)
        estimates = lab.desk.value("SELECT max(estimated_cost_eur) FROM batch_assets.batch")
        most = 2.5 * 2 * estimates / 3
        report = lab.under(synchronous=only(day_cost_eur=most)).retry_failed()
        assert (report.synchronous.synchronous_calls, report.requeued) == (3, 0)
        spent = "SELECT sum(cost_eur) FROM batch_assets.batch WHERE kind = 'synchronous'"
        assert 0 < lab.desk.value(spent) <= most, "the third one fits in, since the others did"

    def test_of_all_that_is_sent(self, lab: Lab) -> None:
        failed(lab, 3)
        report = lab.under(synchronous=ON, caps=Caps(company_day_requests=4)).retry_failed()
        assert report.synchronous.synchronous_calls == 1

    def test_a_model_without_a_price_is_not_sent(self, lab: Lab) -> None:
        ids = waiting(lab, 1, model="house-model")
        ask(lab, ids)
        report = lab.under(synchronous=ON).retry_failed()
        assert report.synchronous.synchronous_held == {
            "model house-model is in cooldown: it has no price": 1
        }
        assert lab.bucket_counts() == {"waiting": 1}
