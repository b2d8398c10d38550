"""What LiveDash's database refuses of one answer costs no other, and never the company."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from batch_assets_tests.store.queries.support import COST, FINDINGS, Desk, completed


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


@pytest.mark.parametrize(
    "impossible",
    [replace(FINDINGS, summary="unheard of"), replace(FINDINGS, language="too long a language")],
    ids=["a CHECK", "a column's width"],
)
def test_a_row_that_cannot_be_written_is_set_aside_alone(desk: Desk, impossible: object) -> None:
    batch, (first, second, third) = desk.ended(3)
    with constrained(desk, "Session", "summary <> 'unheard of'"):
        written = desk.write(
            batch.lease,
            [completed(first), completed(second, impossible), completed(third)],  # type: ignore[arg-type]
        )
    assert written is not None
    assert (written.completed, written.dead, written.error) == (2, 1, "")
    assert desk.statuses([first, third]) == {"PROCESSING_COMPLETE"}
    assert desk.dead_letter(second).code == "refused_by_database"
    assert desk.attempt(second).cost_eur == pytest.approx(COST.eur), "it was paid for"
    assert written.cost_eur == pytest.approx(3 * COST.eur)
    status = desk.analysis_status(second)
    assert status is not None
    assert status.status == "FAILED"
