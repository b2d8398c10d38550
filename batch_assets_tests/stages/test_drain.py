"""The way back: submissions stop, what is under way is read or LiveDash's, and nothing is left."""

import json
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pytest

from batch_assets.domain.errors import ApiError, MigrationRefusedError, SubmissionHeldError
from batch_assets.stages.controls.drain import (
    DrainReport,
    added,
    begin_drain,
    drain_on,
    foresee_drain,
    lift_drain,
)
from batch_assets.stages.pipeline import Pipeline
from batch_assets.stages.retry import retry_failed
from batch_assets.store.conservation import Conservation
from batch_assets.store.migrating.project import head_revision, known_revisions
from batch_assets.store.migrating.refusals import refuse_while_in_flight
from batch_assets_tests.factories import make_company, make_external_batch
from batch_assets_tests.stages import half_made
from batch_assets_tests.stages.support import Lab, call_rule, plenty, refusal, wait_until
from batch_assets_tests.stages.synchronous_support import ON, waiting
from batch_assets_tests.stages.synchronous_support import ask as ask_synchronously
from drills.livedash import Answer, Created, Line, LiveDash, Remote, Request

AT_WORK = {"timing": {"hold_after_rows": 0}}
"""The server runs no batch to its end."""


def drain(lab: Lab, *, hand_over: bool = False) -> DrainReport:
    """As the command does, until nothing is left."""
    begin_drain(lab.pipeline.drains, "somebody")
    report = None

    def is_over() -> bool:
        nonlocal report
        report = added(report, drain_on(lab.pipeline, plenty(), hand_over=hand_over))
        return report.left.is_empty

    wait_until(is_over)
    assert report is not None
    return report


def ask_for_downgrade(lab: Lab, target: str = "base") -> None:
    with lab.desk.engine.connect() as connection:
        refuse_while_in_flight(connection, head_revision(), target, "The database")


def stage_of(lab: Lab, request_id: str) -> str | None:
    found = lab.desk.analysis_status(request_id)
    return None if found is None else str(found.status)


STAGES: Sequence[Callable[[Lab], list[str]]] = (
    half_made.claimed,
    half_made.created,
    half_made.half_ingested,
    half_made.put_off,
    half_made.followed,
)


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.__name__)
def test_while_anything_is_under_way_the_tables_stay_and_then_it_is_drained(
    lab: Lab, stage: Callable[[Lab], list[str]]
) -> None:
    # That the lists are ours shows by another batch of ours.
    half_made.ended(lab)
    lab.ingest()
    ids = stage(lab)
    for target in ("base", "0001", f"-{len(known_revisions()) - 1}"):
        with pytest.raises(MigrationRefusedError, match="batch-assets drain"):
            ask_for_downgrade(lab, target)
    ask_for_downgrade(lab, "0009")
    for batch_id in lab.batches("claimed"):
        lab.desk.lapse(batch_id)
    drain(lab)
    ask_for_downgrade(lab)
    assert set(lab.statuses(ids)) <= {"PENDING_BATCHING", "PROCESSING_COMPLETE"}
    assert lab.bucket_counts().keys() <= {"waiting", "complete"}
    waits = [one for one in ids if lab.statuses([one]) == ["PENDING_BATCHING"]]
    assert {stage_of(lab, one) for one in waits} <= {"IN_PROGRESS"}
    assert lab.times_billed(waits) == [0] * len(waits)
    found = Conservation(lab.desk.engine).all_rows()
    assert found.is_clean, found

    lift_drain(lab.pipeline.drains)
    lab.finish()
    assert lab.times_billed(ids) == [1] * len(ids)


def test_nothing_is_claimed_any_more_not_even_by_a_run_that_has_looked_before(lab: Lab) -> None:
    _, ids = lab.company(2)
    before = lab.pipeline.read_snapshot()
    begin_drain(lab.pipeline.drains, "somebody")
    assert before.installation.drain is None
    assert lab.claim(before) == ()
    with pytest.raises(SubmissionHeldError, match="somebody has stopped submissions"):
        lab.submit()
    live = lab.under(synchronous=ON)
    ask_synchronously(lab, ids)
    assert "drained" in live.retry_failed().synchronous.synchronous_held_because
    assert lab.bucket_counts() == {"waiting": 2}
    assert lift_drain(lab.pipeline.drains).startswith("Submissions go on")
    assert lift_drain(lab.pipeline.drains).startswith("Nothing to do")
    assert lab.submit().requests == 2


def test_a_live_claim_that_has_looked_before_takes_nothing_either(lab: Lab) -> None:
    ids = waiting(lab, 2)
    ask_synchronously(lab, ids)
    live = lab.under(synchronous=ON)
    before = live.pipeline.read_snapshot()
    assert before.installation.hold_reason is None
    begin_drain(lab.pipeline.drains, "somebody")
    assert retry_failed(live.pipeline, before, plenty()).synchronous.synchronous_calls == 0
    assert lab.times_billed(ids) == [0, 0]


def test_a_scheduled_run_sends_back_what_fails_while_it_is_drained(lab: Lab) -> None:
    lab.configure(rows=[half_made.FAILING])
    half_made.ended(lab)
    begin_drain(lab.pipeline.drains, "somebody")
    patient = lab.under(retry_base_seconds=3_600)
    patient.ingest()
    assert lab.bucket_counts() == {"retry": 2}
    assert patient.retry().requeued == 2
    assert lab.bucket_counts() == {"waiting": 2}


def test_what_waits_for_its_file_is_not_made_any_more(lab: Lab) -> None:
    ids = half_made.uploaded(lab)
    lab.desk.do(
        "UPDATE batch_assets.batch SET file_pending_since = now(), lease_owner = NULL,"
        " lease_expires_at = NULL"
    )
    assert drain(lab).returned_requests == 2
    assert lab.remote_files() == []
    assert lab.times_billed(ids) == [0, 0]


def test_what_followed_has_the_answer_that_is_still_to_come(lab: Lab) -> None:
    half_made.followed(lab)
    assert drain(lab).returned_requests == 0
    assert lab.bucket_counts() == {"complete": 2}


def test_a_server_that_is_not_reached_is_said_and_waited_for(lab: Lab) -> None:
    half_made.running(lab)
    lab.configure(calls=[call_rule("*", refusal(503))])
    begin_drain(lab.pipeline.drains, "somebody")
    report = drain_on(lab.pipeline, plenty(), hand_over=False)
    assert report.trouble
    assert "1 batch (1 on the server)" in report.still
    lab.configure(calls=[call_rule("*", refusal(401, "invalid_api_key"))])
    with pytest.raises(ApiError):
        drain_on(lab.pipeline, plenty(), hand_over=False)


@dataclass(frozen=True)
class _ApiOfLiveDash:
    """What LiveDash's timers ask of the server, as far as they only read."""

    pipeline: Pipeline

    def retrieve(self, openai_batch_id: str) -> Remote:
        remote = self.pipeline.api.retrieve(openai_batch_id)
        return Remote(remote.status, remote.output_file_id, remote.error_file_id)

    def download(self, file_id: str) -> Sequence[Line]:
        return [_line(json.loads(line)) for line in self.pipeline.api.download(file_id)]

    def buy(self, requests: Sequence[Request]) -> Created:
        raise AssertionError(requests)

    def call(self, request: Request) -> Answer:
        raise AssertionError(request)


def _line(found: dict[str, Any]) -> Line:
    answer = found["response"]["body"]["choices"][0]["message"]["content"]
    return Line(found["custom_id"], Answer(answer))


def test_what_runs_is_handed_over_and_livedash_reads_it(lab: Lab) -> None:
    half_made.dead(lab)
    lab.configure(**AT_WORK)
    _, ids = lab.company(2)
    lab.submit()
    assert any("1 batch would be LiveDash's" in one for one in foreseen(lab))
    report = drain(lab, hand_over=True)
    assert (report.handed_over.batches, report.handed_over.requests) == (1, 2)
    assert any("1 batch is LiveDash's" in one for one in report.sentences)
    assert any(
        "1 dead letter will be taken by LiveDash's retry timer" in one for one in report.sentences
    )
    ask_for_downgrade(lab)
    (batch_id,) = lab.batches("submitted")
    row = lab.desk.livedash_batch(batch_id)
    assert (row.status, row.openaiBatchId[:6]) == ("IN_PROGRESS", "batch_")
    installation = lab.pipeline.registry.installation()
    assert installation.external_batches == 0, "it is no act of LiveDash's"

    lab.configure()
    api = _ApiOfLiveDash(lab.pipeline)
    livedash = LiveDash.beside(lab.desk.engine)

    def is_read() -> bool:
        livedash.check_timer(api)
        livedash.process_timer(api)
        return set(lab.statuses(ids)) == {"PROCESSING_COMPLETE"}

    with closing(livedash):
        wait_until(is_read)
    assert lab.times_billed(ids) == [1, 1]
    assert lab.desk.session(ids[0]).sentiment == "POSITIVE"


def foreseen(lab: Lab) -> list[str]:
    return foresee_drain(lab.pipeline.drains, hand_over=True).sentences


def test_what_was_handed_over_and_is_resumed_is_read_here_as_livedashs(lab: Lab) -> None:
    half_made.running(lab)
    drain(lab, hand_over=True)
    lift_drain(lab.pipeline.drains)
    lab.recover()
    lab.read_to_the_end()
    assert lab.bucket_counts() == {"complete": 2}


def test_livedashs_own_batches_keep_nothing_from_being_drained(lab: Lab) -> None:
    with lab.desk.engine.begin() as connection:
        make_external_batch(connection, make_company(connection))
    lab.recover()
    assert drain(lab).left.is_empty
    ask_for_downgrade(lab)
