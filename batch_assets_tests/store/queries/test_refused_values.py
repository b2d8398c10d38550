"""What LiveDash's database refuses of one answer costs no other, and never the company."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from batch_assets.domain.batches import BatchOutcomes
from batch_assets.domain.records import Findings
from batch_assets.store.conservation import Conservation
from batch_assets.store.sessions import Followers
from batch_assets_tests.factories import make_request
from batch_assets_tests.store.queries.support import (
    COST,
    FINDINGS,
    PERMANENT,
    POLICY,
    Desk,
    completed,
    failed,
)


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


BESIDE_THE_ANSWER = pytest.mark.parametrize(
    ("table", "check"),
    [
        ("Question", "length(content) <= 300"),
        ("SessionQuestion", '"order" >= 1'),
        ("SessionProcessingStatus", "coalesce(metadata ->> 'language', '') <> 'xx'"),
        ("SessionProcessingStatus", "coalesce(metadata ->> 'questionsProcessed', '') <> '1'"),
        ("SessionProcessingStatus", "stage::text <> 'AI_ANALYSIS' OR status::text <> 'COMPLETED'"),
        ("Session", '"messagesSent" = 0'),
    ],
    ids=["question", "link", "metadata", "extraction", "stage", "measured"],
)


@BESIDE_THE_ANSWER
def test_what_is_refused_beside_an_answer_is_left_out(desk: Desk, table: str, check: str) -> None:
    batch, (first, second, third) = desk.ended(3)
    refused = replace(FINDINGS, language="xx", questions=("x" * 400,))
    with constrained(desk, table, check):
        written = desk.write(
            batch.lease, [completed(first), completed(second, refused), completed(third)]
        )
    assert written is not None
    assert (written.completed, written.set_aside, written.error) == (3, 0, "")
    assert desk.session(second).language == "xx"
    assert desk.request(second).totalCostEur == pytest.approx(COST.eur)
    assert written.cost_eur == pytest.approx(3 * COST.eur)


def questions(desk: Desk, request_id: str) -> list[str]:
    """The questions of a request's session, in their order."""
    return desk.column(
        'SELECT k.content FROM public."SessionQuestion" AS q'
        ' JOIN public."Question" AS k ON k.id = q."questionId"'
        ' WHERE q."sessionId" = :id ORDER BY q."order"',
        id=desk.session_id(request_id),
    )


def test_a_refused_question_costs_nobody_elses(desk: Desk) -> None:
    batch, (first, second, third) = desk.ended(3)
    long = replace(FINDINGS, questions=("Why?", "x" * 400))
    with constrained(desk, "Question", "length(content) <= 300"):
        desk.write(batch.lease, [completed(first), completed(second, long), completed(third)])
    assert FINDINGS.questions is not None
    assert questions(desk, first) == questions(desk, third) == list(FINDINGS.questions)
    assert questions(desk, second) == []
    status = desk.analysis_status(second)
    assert status is not None
    assert (status.status, status.metadata) == ("COMPLETED", None), "it says nothing of questions"


def test_refused_followers_cost_their_leader_nothing_and_nobody_else(desk: Desk) -> None:
    """They stay as they are until the database takes them, whoever else has followers."""
    batch, (first, second) = desk.ended(2)
    with desk.engine.begin() as connection:
        others = [make_request(connection, desk.session_id(one)) for one in (first, second)]
    desk.queries.notice_pending(10)
    without_tokens = 'NOT (success AND "totalTokens" = 0) OR "sessionId" = \'{}\''
    with constrained(desk, "AIProcessingRequest", without_tokens.format(desk.session_id(second))):
        written = desk.write(batch.lease, [completed(first), completed(second)])
        assert written is not None
        assert (written.completed, written.set_aside, written.shared) == (2, 0, 1)
        assert questions(desk, first), "all that was found is kept"
        Followers(desk.engine).heal()
        assert desk.statuses(others[:1]) == {"BATCHING_IN_PROGRESS"}
        assert Conservation(desk.engine).all_rows().numbers["leader_lost"] == 1
    Followers(desk.engine).heal()
    assert desk.statuses(others) == {"PROCESSING_COMPLETE"}
    assert Conservation(desk.engine).all_rows().is_clean


def test_refused_measurements_cost_no_questions(desk: Desk) -> None:
    batch, (only,) = desk.ended(1)
    with constrained(desk, "Session", '"messagesSent" = 0'):
        desk.write(batch.lease, [completed(only)])
    assert FINDINGS.questions is not None
    assert questions(desk, only) == list(FINDINGS.questions)


def test_a_dead_letter_whose_stage_is_refused_costs_nobody_else(desk: Desk) -> None:
    batch, (first, second) = desk.ended(2)
    with constrained(desk, "SessionProcessingStatus", '"retryCount" < 1'):
        written = desk.write(batch.lease, [failed(first, PERMANENT), completed(second)])
    assert written is not None
    assert (written.completed, written.dead, written.error) == (1, 1, "")
    assert desk.dead_letter(first).code == PERMANENT.code
    assert desk.statuses([second]) == {"PROCESSING_COMPLETE"}


@pytest.mark.parametrize(
    "check", ['"totalTokens" < 1', '"totalCostEur" <= 0', '"openaiRequestId" IS NULL']
)
def test_a_refused_payment_is_kept_with_the_attempt_alone(desk: Desk, check: str) -> None:
    batch, (first, second) = desk.ended(2)
    outcomes = [completed(first), failed(second, PERMANENT)]
    with constrained(desk, "AIProcessingRequest", check):
        waits = desk.write(batch.lease, outcomes)
        results = [BatchOutcomes(batch.lease, outcomes, gives_up=True)]
        written = desk.queries.write_results(results, POLICY)[batch.id]
    assert waits is not None
    assert (waits.set_aside, waits.dead, waits.cost_eur) == (1, 1, 0)
    assert (written.dead, written.set_aside, written.error) == (1, 0, "")
    assert desk.dead_letter(first).code == "refused_by_database"
    assert (desk.request(first).totalTokens, desk.request(first).totalCostEur) == (0, 0)
    assert desk.attempt(first).cost_eur == pytest.approx(COST.eur)
    assert desk.attempt(first).synchronous_cost_eur == pytest.approx(COST.synchronous_eur)
    assert written.cost_eur == pytest.approx(COST.eur)


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
        desk.finalize(taken.lease)
    assert desk.batch(batch.id).state == "finalized"
    told = desk.livedash_batch(batch.id)
    assert told.createdAt <= told.completedAt <= told.processedAt


def test_a_batch_that_the_server_has_not_ended_has_no_end(desk: Desk) -> None:
    batch, _ = desk.submitted(1)
    desk.end(batch, status="failed", output_file_id=None)
    assert desk.livedash_batch(batch.id).completedAt is None
