"""Writing answers: every column that LiveDash has for them, once."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from batch_assets.domain.batches import BatchOutcomes
from batch_assets.domain.errors import FailureKind, LiveDashChangedError
from batch_assets.domain.money import Cost, Usage
from batch_assets.domain.records import Findings, RowOutcome
from batch_assets_tests.factories import make_request, make_session
from batch_assets_tests.store.queries.support import (
    COST,
    FINDINGS,
    POLICY,
    RESPONSE,
    USAGE,
    Desk,
    completed,
    failed,
)


def questions(desk: Desk, request_id: str) -> list[tuple[int, str]]:
    return desk.column_pairs(
        'SELECT s."order", q.content FROM public."SessionQuestion" AS s'
        ' JOIN public."Question" AS q ON q.id = s."questionId"'
        ' WHERE s."sessionId" = :session ORDER BY s."order"',
        session=desk.session_id(request_id),
    )


def test_an_answer_fills_every_column_of_its_request(desk: Desk) -> None:
    batch, (row, *_) = desk.ended()
    written = desk.write(batch.lease, [completed(row)])
    assert written is not None
    assert written.completed == 1

    request = desk.request(row)
    assert (request.processingStatus, request.success) == ("PROCESSING_COMPLETE", True)
    assert (request.errorMessage, request.batchId) == (None, batch.id)
    assert request.completedAt is not None
    assert request.openaiRequestId == RESPONSE.request_id
    assert (request.serviceTier, request.systemFingerprint) == ("default", "fp_1")
    assert request.model == "gpt-4o-mini", "the name that was asked for stays"
    stored = Usage(
        prompt_tokens=request.promptTokens,
        completion_tokens=request.completionTokens,
        total_tokens=request.totalTokens,
        cached_tokens=request.cachedTokens,
        audio_tokens_prompt=request.audioTokensPrompt,
        reasoning_tokens=request.reasoningTokens,
        audio_tokens_completion=request.audioTokensCompletion,
        accepted_prediction_tokens=request.acceptedPredictionTokens,
        rejected_prediction_tokens=request.rejectedPredictionTokens,
    )
    assert stored == USAGE
    assert request.promptTokenCost == pytest.approx(COST.rates.prompt)
    assert request.completionTokenCost == pytest.approx(COST.rates.completion)
    assert request.totalCostEur == pytest.approx(COST.eur)


def test_an_answer_fills_every_column_of_its_session(desk: Desk) -> None:
    batch, (row, *_) = desk.ended()
    before = desk.session(row)
    desk.write(batch.lease, [completed(row)])
    session = desk.session(row)
    assert (session.language, session.sentiment, session.category) == (
        "nl",
        "NEGATIVE",
        "LEAVE_VACATION",
    )
    assert (session.escalated, session.forwardedHr) == (True, False)
    assert session.summary == FINDINGS.summary
    assert session.updatedAt > before.updatedAt
    status = desk.analysis_status(row)
    assert status is not None
    assert (status.status, status.errorMessage) == ("COMPLETED", None)
    assert status.startedAt <= status.completedAt


def test_questions_keep_their_order(desk: Desk) -> None:
    batch, (row, *_) = desk.ended()
    asked = ("Zzz?", "Aaa?", "Mmm?")
    findings = replace(FINDINGS, questions=asked)
    desk.write(batch.lease, [completed(row, findings)])
    assert questions(desk, row) == list(enumerate(asked))


def test_sessions_share_the_text_of_a_question(desk: Desk) -> None:
    batch, (first, second, _) = desk.ended()
    desk.write(batch.lease, [completed(first), completed(second)])
    assert questions(desk, first) == questions(desk, second)
    assert desk.value('SELECT count(*) FROM public."Question"') == 2


def test_a_second_analysis_replaces_the_questions_of_the_first(desk: Desk) -> None:
    batch, (row, *_) = desk.ended()
    desk.write(batch.lease, [completed(row)])
    session_id = desk.session_id(row)
    with desk.engine.begin() as connection:
        again = make_request(connection, session_id)
    desk.queries.notice_pending(10)
    (claimed,) = desk.claim(batch.company_id).batches
    assert claimed.requests == 1
    desk.do(
        "UPDATE batch_assets.batch SET state = 'ended', openai_batch_id = 'b',"
        " submitted_at = now(), server_status = 'completed', server_status_since = now(),"
        " ended_at = now() WHERE id = :id",
        id=claimed.id,
    )
    answer = completed(again, replace(FINDINGS, questions=("Another one?",)))
    desk.write(claimed.lease, [answer])
    assert questions(desk, again) == [(0, "Another one?")]


@pytest.mark.parametrize(
    ("findings", "asked"),
    [(replace(FINDINGS, questions=()), []), (replace(FINDINGS, questions=None), [(0, "Old?")])],
    ids=["nothing was asked", "questions were not looked for"],
)
def test_no_questions_are_not_the_same_as_none_looked_for(
    desk: Desk, findings: Findings, asked: list[tuple[int, str]]
) -> None:
    batch, (row, *_) = desk.ended()
    desk.do("INSERT INTO public.\"Question\" (id, content) VALUES ('q', 'Old?')")
    desk.do(
        'INSERT INTO public."SessionQuestion" (id, "sessionId", "questionId", "order")'
        " VALUES ('sq', :session, 'q', 0)",
        session=desk.session_id(row),
    )
    desk.write(batch.lease, [completed(row, findings)])
    assert questions(desk, row) == asked


@pytest.mark.parametrize(
    ("findings", "column", "value"),
    [
        (Findings(sentiment="POSITIVE"), "sentiment", "POSITIVE"),
        (Findings(category="ONBOARDING"), "category", "ONBOARDING"),
        (Findings(summary="Short."), "summary", "Short."),
        (Findings(language="de"), "language", "de"),
        (Findings(escalated=False), "escalated", False),
        (Findings(forwarded_hr=True), "forwardedHr", True),
    ],
    ids=lambda value: str(value) if isinstance(value, str) else None,
)
def test_what_was_not_asked_for_is_left_as_it_is(
    desk: Desk, findings: Findings, column: str, value: object
) -> None:
    batch, (row, *_) = desk.ended()
    desk.do(
        "UPDATE public.\"Session\" SET language = 'fr', sentiment = 'NEUTRAL',"
        " category = 'OFFBOARDING', escalated = true, \"forwardedHr\" = false, summary = 'Before.'"
    )
    before = dict(desk.session(row)._mapping)
    desk.write(batch.lease, [completed(row, findings)])
    after = dict(desk.session(row)._mapping)
    changed = {key for key in after if after[key] != before[key]}
    assert changed == {column, "messagesSent", "endTime", "updatedAt"}
    assert after[column] == value


def test_money_and_counts_are_kept_with_the_batch(desk: Desk) -> None:
    batch, (first, second, third) = desk.ended()
    outcomes = [completed(first), failed(second, paid=True), RowOutcome(third)]
    written = desk.write(batch.lease, outcomes, 2)
    assert written is not None
    assert (written.completed, written.retry, written.returned) == (1, 1, 1)
    assert written.prompt_tokens == 2 * USAGE.prompt_tokens
    assert written.completion_tokens == 2 * USAGE.completion_tokens
    assert (written.cached_tokens, written.reasoning_tokens) == (2_048, 4)
    assert written.failed_cost_eur == pytest.approx(COST.eur)
    assert written.discarded_cost_eur == 0
    assert written.failure_kinds == {FailureKind.TRANSIENT: 1}
    assert written.cost_eur == pytest.approx(2 * COST.eur)
    assert written.synchronous_cost_eur == pytest.approx(2 * COST.synchronous_eur)
    ours = desk.batch(batch.id)
    assert (ours.completed, ours.failed, ours.returned, ours.refused) == (1, 1, 1, 2)
    assert (ours.prompt_tokens, ours.completion_tokens) == (2_400, 160)
    assert ours.cost_eur == pytest.approx(2 * COST.eur)
    assert ours.synchronous_cost_eur == pytest.approx(2 * COST.synchronous_eur)
    attempt = desk.attempt(first)
    assert (attempt.outcome, attempt.counted) == ("completed", True)
    assert attempt.cost_eur == pytest.approx(COST.eur)
    assert attempt.synchronous_cost_eur == pytest.approx(COST.synchronous_eur)


def test_a_small_cost_is_not_rounded_away_in_our_sums(desk: Desk) -> None:
    batch, ids = desk.ended()
    cost = Cost(eur=1e-9, synchronous_eur=2e-9)
    desk.write(batch.lease, [completed(row, cost=cost) for row in ids])
    assert desk.batch(batch.id).cost_eur == pytest.approx(3e-9, rel=1e-9)


def test_the_same_answers_written_twice_change_nothing_and_cost_once(desk: Desk) -> None:
    batch, (first, second, third) = desk.ended()
    outcomes = [completed(first), failed(second, paid=True), RowOutcome(third)]
    desk.write(batch.lease, outcomes)
    before = desk.everything()
    written = desk.write(batch.lease, outcomes)
    assert written is not None
    assert (written.completed, written.retry, written.cost_eur) == (0, 0, 0.0)
    assert written.returned == 0
    after = desk.everything()
    assert {table for table in after if after[table] != before[table]} <= {"batch"}, "twice"
    assert desk.batch(batch.id).cost_eur == pytest.approx(2 * COST.eur)


def test_a_row_that_comes_twice_in_one_set_is_written_once(desk: Desk) -> None:
    batch, (row, *_) = desk.ended()
    written = desk.write(batch.lease, [completed(row), failed(row), completed(row)])
    assert written is not None
    assert (written.completed, written.retry) == (1, 0)
    assert written.refused == {"duplicate": 2}
    assert written.cost_eur == pytest.approx(COST.eur)
    assert desk.statuses([row]) == {"PROCESSING_COMPLETE"}


def test_a_set_is_written_whole_or_not_at_all(desk: Desk) -> None:
    batch, (first, second, _) = desk.ended()
    before = desk.everything()
    desk.do('ALTER TABLE public."Session" RENAME COLUMN "forwardedHr" TO "of_a_newer_livedash"')
    try:
        with pytest.raises(LiveDashChangedError, match="forwardedHr"):
            desk.write(batch.lease, [completed(first), completed(second)])
    finally:
        desk.do('ALTER TABLE public."Session" RENAME COLUMN "of_a_newer_livedash" TO "forwardedHr"')
    assert desk.everything() == before


def test_sets_of_several_batches_are_each_counted_with_their_own(desk: Desk) -> None:
    first, (one, two, _) = desk.ended()
    second, (other, *_) = desk.ended()
    lost, (never, *_) = desk.ended()
    stale = replace(lost.lease, fence=lost.lease.fence - 1)
    written = desk.queries.write_results(
        [
            BatchOutcomes(second.lease, [completed(other), completed(one)], refused=2),
            BatchOutcomes(stale, [completed(never)]),
            BatchOutcomes(first.lease, [completed(one), failed(two)]),
        ],
        POLICY,
    )
    assert set(written) == {first.id, second.id}
    assert (written[first.id].completed, written[first.id].retry) == (1, 1)
    assert (written[second.id].completed, written[second.id].refused) == (1, {"duplicate": 1})
    counters = [
        (desk.batch(one.id).completed, desk.batch(one.id).refused) for one in (first, second)
    ]
    assert counters == [(1, 0), (1, 3)]
    assert desk.statuses([never]) == {"BATCHING_IN_PROGRESS"}


def test_only_rows_of_the_batch_are_written(desk: Desk) -> None:
    batch, _ = desk.ended()
    _, (other, *_) = desk.claimed()
    written = desk.write(batch.lease, [completed(other)])
    assert written is not None
    assert written.completed == 0
    assert written.cost_eur == 0.0
    assert desk.statuses([other]) == {"BATCHING_IN_PROGRESS"}
    assert desk.session(other).summary is None


def test_an_answer_for_a_deleted_session_is_dropped_and_its_cost_kept(desk: Desk) -> None:
    batch, (row, *_) = desk.ended()
    desk.delete_session(row)
    written = desk.write(batch.lease, [completed(row)])
    assert written is not None
    assert (written.completed, written.discarded) == (0, 1)
    assert written.cost_eur == written.discarded_cost_eur == pytest.approx(COST.eur)
    attempt = desk.attempt(row)
    assert (attempt.outcome, attempt.cost_eur) == ("discarded", pytest.approx(COST.eur))
    assert desk.batch(batch.id).discarded == 1
    assert desk.value('SELECT count(*) FROM public."Question"') == 0
    written = desk.write(batch.lease, [completed(row)])
    assert written is not None
    assert (written.discarded, written.cost_eur) == (0, 0.0)


@pytest.mark.parametrize(
    "change",
    ["\"processingStatus\" = 'PROCESSING_COMPLETE'", '"batchId" = NULL'],
    ids=["completed", "taken out"],
)
@pytest.mark.parametrize("answer", [completed, failed], ids=["answer", "failure"])
def test_a_row_that_livedash_changed_meanwhile_is_left_to_it(
    desk: Desk, change: str, answer: type[RowOutcome]
) -> None:
    batch, (row, *_) = desk.ended()
    desk.do(f'UPDATE public."AIProcessingRequest" SET {change} WHERE id = :id', id=row)
    before = desk.everything()
    written = desk.write(batch.lease, [answer(row)])
    assert written is not None
    assert written.discarded == 1
    after = desk.everything()
    changed = {table for table in after if after[table] != before[table]}
    # What is not open any more leaves no stage in progress.
    assert changed == {"attempt", "batch"} | ({"status"} if "COMPLETE" in change else set())


@pytest.mark.parametrize("answer", [completed, failed], ids=["answer", "failure"])
def test_an_answer_to_a_row_that_livedash_has_reset_is_used(
    desk: Desk, answer: Callable[[str], RowOutcome]
) -> None:
    batch, (row, *_) = desk.ended()
    desk.do(
        'UPDATE public."AIProcessingRequest" SET "processingStatus" = \'PENDING_BATCHING\','
        ' "batchId" = NULL, "errorMessage" = \'Batch processing failed: x\' WHERE id = :id',
        id=row,
    )
    written = desk.write(batch.lease, [answer(row)])
    assert written is not None
    assert (written.completed + written.retry, written.discarded) == (1, 0)
    assert desk.statuses([row]) <= {"PROCESSING_COMPLETE", "BATCHING_IN_PROGRESS"}


def test_two_requests_of_one_session_are_both_written(desk: Desk) -> None:
    company_id, _ = desk.company()
    with desk.engine.begin() as connection:
        session_id = make_session(connection, company_id)
        first = make_request(connection, session_id, processing_type="summary")
        second = make_request(connection, session_id, processing_type="sentiment_analysis")
    desk.queries.notice_pending(10)
    (claimed,) = desk.claim(company_id).batches
    desk.upload(claimed.lease)
    desk.submit(claimed)
    desk.end(desk.in_flight(claimed.id))
    batch = desk.take(claimed.id)
    outcomes = [
        completed(first, Findings(summary="A summary.")),
        completed(second, Findings(sentiment="POSITIVE")),
    ]
    written = desk.write(batch.lease, outcomes)
    assert written is not None
    assert written.completed == 2
    session = desk.session(first)
    assert (session.summary, session.sentiment) == ("A summary.", "POSITIVE")


def test_writers_of_the_same_questions_do_not_lock_each_other_out(desk: Desk) -> None:
    batches = [desk.ended(12) for _ in range(2)]
    texts = [f"Question {number}?" for number in range(12)]
    sets: list[BatchOutcomes] = []
    for (batch, ids), order in zip(batches, (texts, texts[::-1]), strict=True):
        outcomes = [
            completed(row, replace(FINDINGS, questions=(asked,)))
            for row, asked in zip(ids, order, strict=True)
        ]
        sets.append(BatchOutcomes(batch.lease, outcomes))

    def write(one: BatchOutcomes) -> int:
        return desk.queries.write_results([one], POLICY)[one.lease.batch_id].completed

    with ThreadPoolExecutor(2) as pool:
        written = list(pool.map(write, sets))
    assert written == [12, 12]
