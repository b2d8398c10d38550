"""Writing failures: retried later, given up, or waiting again, each with its reason."""

import pytest

from batch_assets.domain.errors import Failure, FailureKind
from batch_assets.domain.records import RowOutcome
from batch_assets_tests.policies import a_policy
from batch_assets_tests.store.queries.support import (
    CAPACITY,
    COST,
    PERMANENT,
    POLICY,
    RESPONSE,
    TRANSIENT,
    Desk,
    completed,
    failed,
)


def test_a_transient_failure_is_retried_later(desk: Desk) -> None:
    batch, (row, *_) = desk.ended()
    policy = a_policy(retry_base_seconds=100, retry_max_seconds=1_000)
    written = desk.write(batch.lease, [failed(row)], policy=policy)
    assert written is not None
    assert (written.retry, written.dead) == (1, 0)
    request = desk.request(row)
    assert (request.processingStatus, request.success) == ("BATCHING_IN_PROGRESS", False)
    assert (request.batchId, request.completedAt) == (None, None)
    assert request.errorMessage == TRANSIENT.reason
    later = desk.retry(row)
    assert (later.attempts, later.failure_kind, later.code) == (1, "transient", "server_error")
    assert later.reason == TRANSIENT.reason
    assert 50 <= (later.retry_at - later.failed_at).total_seconds() <= 100
    attempt = desk.attempt(row)
    assert (attempt.outcome, attempt.counted, attempt.code) == ("failed", True, "server_error")
    status = desk.analysis_status(row)
    assert status is not None
    assert (status.status, status.errorMessage) == ("IN_PROGRESS", None), "it is still open"


def test_a_permanent_failure_is_a_dead_letter_at_once(desk: Desk) -> None:
    batch, (row, *_) = desk.ended()
    written = desk.write(batch.lease, [failed(row, PERMANENT)])
    assert written is not None
    assert (written.retry, written.dead) == (0, 1)
    letter = desk.dead_letter(row)
    assert (letter.batch_id, letter.attempts, letter.failure_kind) == (batch.id, 1, "permanent")
    assert (letter.code, letter.reason) == ("refused", PERMANENT.reason)
    assert desk.request(row).processingStatus == "PROCESSING_FAILED"
    status = desk.analysis_status(row)
    assert status is not None
    assert (status.status, status.errorMessage, status.retryCount) == (
        "FAILED",
        PERMANENT.reason,
        1,
    )
    assert desk.value("SELECT count(*) FROM batch_assets.retry") == 0


def test_the_last_attempt_ends_in_the_dead_letters(desk: Desk) -> None:
    policy = a_policy(max_attempts=3, retry_base_seconds=0)
    company_id, (row,) = desk.company(1)
    buckets = []
    for _ in range(3):
        desk.queries.requeue_due(10)
        (claimed,) = desk.claim(company_id, policy=policy).batches
        desk.upload(claimed.lease)
        desk.submit(claimed)
        desk.end(desk.in_flight(claimed.id))
        batch = desk.take(claimed.id)
        written = desk.write(batch.lease, [failed(row)], policy=policy)
        assert written is not None
        desk.finalize(batch.lease)
        buckets.append((written.retry, written.dead))
    assert buckets == [(1, 0), (1, 0), (0, 1)]
    assert desk.dead_letter(row).attempts == 3
    assert desk.value("SELECT count(*) FROM batch_assets.retry") == 0
    assert desk.queries.requeue_due(10) == 0


def test_no_room_on_the_server_uses_up_no_attempt(desk: Desk) -> None:
    batch, (row, *_) = desk.ended()
    desk.write(batch.lease, [failed(row, CAPACITY)], policy=a_policy(max_attempts=1))
    assert desk.retry(row).attempts == 0
    assert not desk.attempt(row).counted


def test_what_an_unusable_answer_cost_is_kept(desk: Desk) -> None:
    batch, (row, *_) = desk.ended()
    desk.write(batch.lease, [failed(row, PERMANENT, paid=True)])
    request = desk.request(row)
    assert (request.promptTokens, request.cachedTokens) == (1_200, 1_024)
    assert request.openaiRequestId == RESPONSE.request_id
    assert request.totalCostEur == pytest.approx(COST.eur)
    assert request.promptTokenCost == pytest.approx(COST.rates.prompt)
    assert desk.attempt(row).cost_eur == pytest.approx(COST.eur)
    assert desk.session(row).summary is None


def test_a_failure_without_an_answer_costs_nothing(desk: Desk) -> None:
    batch, (row, *_) = desk.ended()
    written = desk.write(batch.lease, [failed(row)])
    assert written is not None
    assert written.cost_eur == 0.0
    request = desk.request(row)
    assert (request.totalTokens, request.totalCostEur, request.cachedTokens) == (0, 0.0, None)


def test_a_row_that_never_ran_waits_again_uncounted(desk: Desk) -> None:
    batch, (row, *_) = desk.ended()
    written = desk.write(batch.lease, [RowOutcome(row)])
    assert written is not None
    assert written.returned == 1
    assert desk.statuses([row]) == {"PENDING_BATCHING"}
    assert desk.intake() == {row}
    attempt = desk.attempt(row)
    assert (attempt.outcome, attempt.counted) == ("unanswered", False)


@pytest.mark.parametrize("failure", [TRANSIENT, PERMANENT])
def test_a_failure_of_a_deleted_session_is_discarded(desk: Desk, failure: Failure) -> None:
    batch, (row, *_) = desk.ended()
    desk.delete_session(row)
    written = desk.write(batch.lease, [failed(row, failure, paid=True)])
    assert written is not None
    assert (written.discarded, written.retry, written.dead) == (1, 0, 0)
    assert written.cost_eur == written.discarded_cost_eur == pytest.approx(COST.eur)
    assert (written.failed_cost_eur, written.failure_kinds) == (0, {})
    assert desk.value("SELECT count(*) FROM batch_assets.dead_letter") == 0
    assert desk.value("SELECT count(*) FROM batch_assets.retry") == 0


def test_a_row_that_never_ran_and_whose_session_is_gone_is_gone(desk: Desk) -> None:
    batch, (row, *_) = desk.ended()
    desk.delete_session(row)
    desk.write(batch.lease, [RowOutcome(row)])
    assert desk.intake() == set()
    assert desk.attempt(row).outcome == "unanswered"


def test_due_retries_wait_again_at_their_old_place(desk: Desk) -> None:
    batch, (row, *_) = desk.ended()
    desk.write(batch.lease, [failed(row)], policy=a_policy(retry_base_seconds=0))
    assert desk.queries.requeue_due(10) == 1
    request = desk.request(row)
    assert (request.processingStatus, request.batchId) == ("PENDING_BATCHING", None)
    assert request.completedAt is None
    assert desk.column_pairs("SELECT request_id, requested_at FROM batch_assets.intake") == [
        (row, request.requestedAt)
    ]
    assert desk.value("SELECT count(*) FROM batch_assets.retry") == 0
    assert desk.queries.requeue_due(10) == 0


def test_nothing_is_requeued_before_its_time_or_beyond_the_limit(desk: Desk) -> None:
    batch, (first, second, third) = desk.ended()
    due = a_policy(retry_base_seconds=0)
    desk.write(batch.lease, [failed(first), failed(second)], policy=due)
    desk.write(batch.lease, [failed(third)])
    assert desk.queries.requeue_due(1) == 1
    assert desk.queries.requeue_due(10) == 1
    assert desk.statuses([third]) == {"BATCHING_IN_PROGRESS"}


@pytest.mark.parametrize(
    "change",
    [
        'UPDATE public."AIProcessingRequest" SET "processingStatus" = \'PROCESSING_COMPLETE\''
        " WHERE id = :id",
        'DELETE FROM public."AIProcessingRequest" WHERE id = :id',
    ],
    ids=["done", "deleted"],
)
def test_a_retry_of_what_livedash_moved_is_forgotten(desk: Desk, change: str) -> None:
    batch, (row, *_) = desk.ended()
    desk.write(batch.lease, [failed(row)], policy=a_policy(retry_base_seconds=0))
    desk.do(change, id=row)
    assert desk.queries.requeue_due(10) == 0
    assert desk.value("SELECT count(*) FROM batch_assets.retry") == 0
    assert desk.intake() == set()


def test_the_reason_of_an_earlier_failure_is_gone_after_a_good_answer(desk: Desk) -> None:
    company_id, (row,) = desk.company(1)
    for outcome in (failed(row), completed(row)):
        desk.queries.requeue_due(10)
        (claimed,) = desk.claim(company_id).batches
        desk.upload(claimed.lease)
        desk.submit(claimed)
        desk.end(desk.in_flight(claimed.id))
        batch = desk.take(claimed.id)
        desk.write(batch.lease, [outcome], policy=a_policy(retry_base_seconds=0))
    request, status = desk.request(row), desk.analysis_status(row)
    assert (request.processingStatus, request.errorMessage) == ("PROCESSING_COMPLETE", None)
    assert status is not None
    assert (status.status, status.errorMessage) == ("COMPLETED", None)


def test_a_failure_that_counts_never_waits_less_for_coming_later(desk: Desk) -> None:
    batch, (row, *_) = desk.ended()
    forever = Failure(FailureKind.ACCOUNT, "insufficient_quota", "The server refused the account.")
    desk.write(batch.lease, [failed(row, forever)])
    later = desk.retry(row)
    waits = (later.retry_at - later.failed_at).total_seconds()
    assert POLICY.retry_base_seconds / 2 <= waits <= POLICY.retry_base_seconds
