"""What LiveDash's database refuses of one answer costs no other, and never the company."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from batch_assets.domain.batches import BatchOutcomes
from batch_assets.domain.records import Findings
from batch_assets_tests.store.queries.support import COST, FINDINGS, POLICY, Desk, completed


@contextmanager
def constrained(desk: Desk, table: str, check: str) -> Iterator[None]:
    """A CHECK written by hand, as some installations have them."""
    desk.do(f'ALTER TABLE public."{table}" ADD CONSTRAINT by_hand CHECK ({check}) NOT VALID')
    try:
        yield
    finally:
        desk.do(f'ALTER TABLE public."{table}" DROP CONSTRAINT by_hand')


@pytest.mark.parametrize(
    ("table", "check"),
    [
        ("Session", '"endTime" >= "startTime"'),
        ("Session", '"endTime" < TIMESTAMPTZ \'2002-01-01\' OR "messagesSent" IS NULL'),
        ("SessionProcessingStatus", '"completedAt" >= "startedAt"'),
        ("AIProcessingRequest", '"completedAt" >= "requestedAt"'),
        ("AIProcessingRequest", '"promptTokens" >= 0 AND "totalCostEur" >= 0'),
        ("SessionQuestion", '"order" >= 0'),
    ],
)
def test_a_check_costs_no_answer(desk: Desk, table: str, check: str) -> None:
    batch, ids = desk.ended(3)
    desk.do('UPDATE public."AIProcessingRequest" SET "requestedAt" = now() + interval \'1 hour\'')
    desk.do('UPDATE public."SessionProcessingStatus" SET "startedAt" = now() + interval \'1 hour\'')
    with constrained(desk, table, check):
        written = desk.write(batch.lease, [completed(row) for row in ids])
    assert written is not None
    assert (written.completed, written.error) == (3, "")
    assert desk.session(ids[0]).summary == FINDINGS.summary


IMPOSSIBLE = pytest.mark.parametrize(
    "impossible",
    [
        replace(FINDINGS, summary="unheard of"),
        replace(FINDINGS, language="too long a language"),
        replace(FINDINGS, summary="with a \0 in it"),
    ],
    ids=["a CHECK", "a column's width", "a NUL"],
)


@IMPOSSIBLE
def test_a_row_that_cannot_be_written_is_set_aside_alone(desk: Desk, impossible: Findings) -> None:
    batch, (first, second, third) = desk.ended(3)
    outcomes = [completed(first), completed(second, impossible), completed(third)]
    with constrained(desk, "Session", "summary <> 'unheard of'"):
        written = desk.write(batch.lease, outcomes)
    assert written is not None
    assert (written.completed, written.dead, written.set_aside, written.error) == (2, 0, 1, "")
    assert desk.statuses([first, third]) == {"PROCESSING_COMPLETE"}
    assert desk.attempt(second).outcome is None, "it is read again"
    assert written.cost_eur == pytest.approx(2 * COST.eur)
    again = desk.write(batch.lease, [completed(first), completed(second), completed(third)])
    assert again is not None
    assert again.completed == 1
    assert again.cost_eur == pytest.approx(COST.eur)


@IMPOSSIBLE
def test_a_row_that_could_not_be_written_for_long_is_dead_with_its_cost(
    desk: Desk, impossible: Findings
) -> None:
    batch, (first, second) = desk.ended(2)
    outcomes = [completed(first), completed(second, impossible)]
    with constrained(desk, "Session", "summary <> 'unheard of'"):
        results = [BatchOutcomes(batch.lease, outcomes, gives_up=True)]
        written = desk.queries.write_results(results, POLICY)[batch.id]
    assert (written.completed, written.dead, written.set_aside) == (1, 1, 0)
    assert desk.dead_letter(second).code == "refused_by_database"
    assert desk.attempt(second).cost_eur == pytest.approx(COST.eur), "it was paid for"
    assert written.cost_eur == pytest.approx(2 * COST.eur)
    status = desk.analysis_status(second)
    assert status is not None
    assert status.status == "FAILED"


BATCH_TIMES = pytest.mark.parametrize(
    "check", ['"completedAt" >= "createdAt"', '"processedAt" >= "completedAt"']
)


@BATCH_TIMES
@pytest.mark.parametrize("seconds", [-3_600, 3_600])
def test_a_clock_of_the_servers_that_is_off_costs_no_batch(
    desk: Desk, check: str, seconds: int
) -> None:
    batch, ids = desk.submitted(1)
    with constrained(desk, "AIBatchRequest", check):
        desk.end(batch, completed_at=datetime.now(UTC) + timedelta(seconds=seconds))
        taken = desk.take(batch.id)
        desk.write(taken.lease, [completed(row) for row in ids])
        desk.settle(taken.lease)
    assert desk.batch(batch.id).state == "settled"
    told = desk.livedash_batch(batch.id)
    assert told.createdAt <= told.completedAt <= told.processedAt


def test_a_batch_that_the_server_has_not_ended_has_no_end(desk: Desk) -> None:
    batch, _ = desk.submitted(1)
    desk.end(batch, status="failed", output_file_id=None)
    assert desk.livedash_batch(batch.id).completedAt is None
