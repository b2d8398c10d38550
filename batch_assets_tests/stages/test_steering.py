"""What an operator may ask of the stages: what is refused, and what is done."""

from dataclasses import asdict
from typing import Any

import pytest

from batch_assets.domain.errors import (
    BatchAssetsError,
    ConfigurationError,
    Failure,
    FailureKind,
    SubmissionHeldError,
)
from batch_assets.domain.policy import Caps
from batch_assets.openai_batch.operations import Operation
from batch_assets.stages.controls.cancel import cancel_batch
from batch_assets.stages.controls.criteria import Wanted, company_of
from batch_assets.stages.controls.force import Demand, ForceReport, force_batch
from batch_assets.stages.controls.requeue import RequeueReport, requeue
from batch_assets.stages.controls.reset import resume
from batch_assets.store.breakers import Breakers
from batch_assets.store.lookups import Lookups
from batch_assets_tests.factories import make_company
from batch_assets_tests.stages.support import AT_ONCE, Lab, call_rule, plenty, refusal, wait_until
from batch_assets_tests.store.queries.support import PERMANENT, TRANSIENT, failed


def force(lab: Lab, company: str, *, dry_run: bool = False, **how: Any) -> ForceReport:
    demand = Demand(company, **how)
    return force_batch(lab.pipeline, demand, str, plenty(), dry_run=dry_run)


def failures(lab: Lab) -> list[str]:
    """Three dead letters and a request with a retry date, in this order."""
    batch, ids = lab.desk.ended(4)
    outcomes = [failed(one, PERMANENT) for one in ids[:3]] + [failed(ids[3], TRANSIENT)]
    lab.desk.write(batch.lease, outcomes)
    lab.desk.finalize(batch.lease)
    later = "UPDATE batch_assets.retry SET retry_at = retry_at + interval '1 day'"
    lab.desk.do(later)
    return ids


def requeued(lab: Lab, *, dry_run: bool = False, **wanted: Any) -> RequeueReport:
    return requeue(lab.desk.engine, Wanted(**wanted), str, dry_run=dry_run)


def test_a_forced_company_sends_what_was_asked_for_and_no_more(lab: Lab) -> None:
    lab = lab.under(min_batch_requests=10, max_wait_seconds=3_600)
    company_id, _ = lab.company(3)
    other = lab.more(company_id, 2, model="gpt-4.1-mini")
    bystander, _ = lab.company(2)
    assert lab.submit().batches == 0, "nobody is due"

    foreseen = force(lab, company_id, dry_run=True, model="gpt-4.1-mini")
    assert [(one.model, one.requests) for one in foreseen.planned] == [("gpt-4.1-mini", 2)]
    assert lab.batches() == []
    assert force(lab, company_id, model="gpt-4.1-mini").sent.requests == 2
    assert set(lab.statuses(other)) == {"BATCHING_IN_PROGRESS"}

    some = force(lab, company_id, max_requests=2)
    assert (some.requests, dict(some.held)) == (2, {"cap on requests": 1})
    assert force(lab, company_id).sent.requests == 1
    assert force(lab, company_id).sentence.startswith("Nothing of ")
    by_company = {one.company_id: one.waiting for one in lab.pipeline.queries.statistics()}
    assert by_company == {company_id: 0, bystander: 2}


def test_forcing_breaks_no_rule(lab: Lab) -> None:
    company_id, _ = lab.company(3)
    with lab.desk.engine.begin() as connection:
        resting = make_company(connection, status="SUSPENDED", name="Resting")
    with pytest.raises(BatchAssetsError, match="Company Resting is SUSPENDED"):
        force(lab, resting)
    with pytest.raises(ConfigurationError, match="max_requests is 0"):
        force(lab, company_id, max_requests=0)
    with pytest.raises(ConfigurationError, match="No company has the id or the name 'nobody'"):
        force(lab, "nobody")
    with pytest.raises(ConfigurationError, match="Which company"):
        force(lab, " ")
    capped = force(lab.under(caps=Caps(day_requests=1)), company_id)
    assert (capped.requests, capped.held["cap on requests"]) == (1, 2)

    breakers, failure = Breakers(lab.desk.engine), Failure(FailureKind.TRANSIENT, "timeout", "x")
    policy = lab.under(breaker_failures=1).pipeline.policy
    breakers.count(Operation.UPLOAD, failure, policy, None)
    with pytest.raises(SubmissionHeldError, match="not asked to take files"):
        force(lab, company_id)
    assert "not asked to take files" in str(force(lab, company_id, dry_run=True).held_because)
    resume(lab.desk.engine, [Operation.UPLOAD], "a test", dry_run=False)
    lab.desk.do("UPDATE batch_assets.installation SET confirmed_at = NULL")
    with pytest.raises(SubmissionHeldError, match="batch-assets confirm"):
        force(lab, company_id)


def test_a_company_is_named_in_capitals_or_not_and_a_wrong_one_is_answered_with_the_nearest(
    lab: Lab,
) -> None:
    with lab.desk.engine.begin() as connection:
        ids = {
            name: make_company(connection, name=name)
            for name in ("Zorggroep Oost", "Noord", "NOORD", "noord")
        }
    lookups = Lookups(lab.desk.engine)
    assert company_of(lookups, "zorggroep OOST").id == ids["Zorggroep Oost"]
    assert company_of(lookups, "NOORD").id == ids["NOORD"]
    with pytest.raises(ConfigurationError, match="Several companies are called 'nOORD'"):
        company_of(lookups, "nOORD")
    with pytest.raises(ConfigurationError, match="the nearest name is 'Zorggroep Oost';"):
        company_of(lookups, "zorgroep oost")


def test_what_cannot_be_requeued_is_said_before_anything_moves(lab: Lab) -> None:
    ids = failures(lab)
    (waiting,) = lab.more(lab.desk.attempt(ids[0]).company_id, 1)
    for wanted, sentence in (
        ({}, "Which ones? Give ids, company, code, kind, older_than or newer_than, or all"),
        ({"every": True, "code": "refused"}, "all is all dead letters: leave it or the"),
        ({"external": True, "code": "refused"}, "external needs ids or company."),
        ({"kind": "bad"}, "kind is 'bad': it must be one of transient, "),
        ({"newer_than": "1h", "older_than": "2d"}, "newer_than and older_than leave no time"),
        ({"company": "nobody"}, "No company has the id or the name 'nobody'"),
        ({"request_ids": ["nobody"]}, "No request has the id 'nobody'."),
        ({"request_ids": [waiting]}, "is no dead letter: it is PENDING_BATCHING."),
        ({"request_ids": [ids[3]]}, "is going to be retried by itself: retries lets the next"),
    ):
        with pytest.raises(BatchAssetsError) as caught:
            requeued(lab, **wanted)
        assert sentence in str(caught.value)
    assert set(lab.statuses(ids)) == {"PROCESSING_FAILED", "BATCHING_IN_PROGRESS"}


def test_a_request_need_not_wait_for_its_retry_date(lab: Lab) -> None:
    *dead, retried = failures(lab)
    assert lab.retry().requeued == 0
    foreseen = requeued(lab, every=True, retries=True, dry_run=True)
    assert {(one.bucket, one.requests) for one in foreseen.groups} == {("dead", 3), ("retry", 1)}
    moved = requeued(lab, request_ids=[retried], retries=True).moved
    assert asdict(moved) == {"requeued": 0, "external": 0, "hastened": 1, "overtaken": 0}
    assert lab.statuses([retried]) == ["BATCHING_IN_PROGRESS"], "the retry stage moves it"
    assert lab.retry().requeued == 1
    assert lab.statuses([retried]) == ["PENDING_BATCHING"]
    assert lab.desk.attempt(retried).counted, "what was tried still counts"
    assert set(lab.statuses(dead)) == {"PROCESSING_FAILED"}


def test_a_cancelled_batch_keeps_what_has_run(lab: Lab) -> None:
    lab.configure(timing={"hold_after_rows": 2})
    _, ids = lab.company(3)
    lab.submit()
    (batch_id,) = lab.batches("submitted")
    wait_until(lambda: [one.status for one in lab.remote_batches()] == ["in_progress"])
    registry, api = lab.pipeline.registry, lab.pipeline.api

    assert "can be cancelled" in cancel_batch(registry, api, batch_id, dry_run=True).sentence
    assert lab.desk.batch(batch_id).cancelled_at is None
    unwell = call_rule("batches.cancel", refusal(500, headers=AT_ONCE))
    lab.configure(timing={"hold_after_rows": 2}, calls=[unwell])
    with pytest.raises(BatchAssetsError, match="may run on: it was not seen to be cancelled"):
        cancel_batch(registry, api, batch_id, dry_run=False)
    lab.configure(timing={"hold_after_rows": 2})
    openai_id = lab.desk.batch(batch_id).openai_batch_id
    report = cancel_batch(registry, api, openai_id, dry_run=False)
    assert report.batch.id == batch_id
    assert lab.desk.batch(batch_id).cancelled_at is not None
    lab.read_to_the_end()
    assert lab.bucket_counts() == {"complete": 2, "waiting": 1}
    with pytest.raises(BatchAssetsError, match="is finalized: there is nothing to cancel"):
        cancel_batch(registry, api, batch_id, dry_run=False)
    assert lab.times_billed(ids).count(1) == 2


def test_a_batch_that_cannot_be_cancelled_is_not(lab: Lab) -> None:
    lab.company(3)
    (claimed,) = lab.claim()
    registry, api = lab.pipeline.registry, lab.pipeline.api

    def refused() -> str:
        with pytest.raises(BatchAssetsError) as caught:
            cancel_batch(registry, api, claimed.id, dry_run=False)
        return str(caught.value)

    assert "is not on the server yet, as far as is known (claimed)" in refused()
    lab.send([claimed])
    lab.desk.do("UPDATE batch_assets.batch SET server_status = 'finalizing'")
    assert "is finalizing on the server: it ends by itself" in refused()
    lab.desk.do("UPDATE batch_assets.batch SET server_status = 'completed'")
    assert "is completed on the server: the next run reads it" in refused()
    lab.desk.do("UPDATE batch_assets.batch SET server_status = 'in_progress'")
    lab.desk.do("UPDATE batch_assets.installation SET database_name = 'original'")
    assert "this one is a copy or has moved" in refused()
    lab.desk.do("UPDATE batch_assets.batch SET installation_id = NULL")
    assert "is not ours (LiveDash made it" in refused()
    assert lab.desk.batch(claimed.id).cancelled_at is None


def test_a_batch_knows_the_run_that_has_read_it(lab: Lab) -> None:
    lab.company(3)
    lab.submit()
    (batch_id,) = lab.batches("submitted")
    assert (lab.desk.batch(batch_id).run_id, lab.desk.batch(batch_id).read_run_id) == ("run-1", "")
    (line,) = lab.read_to_the_end().batches_read
    assert lab.desk.batch(batch_id).read_run_id == "run-1"
    assert (line.batch_id, line.company, line.requests) == (batch_id, "Zorggroep Oost", 3)
    assert (line.state, line.sent_by_run) == ("finalized, completed", "run-1")
