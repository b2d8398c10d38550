"""What LiveDash has answered or tried before, and never marked so: it is never bought again."""

from datetime import UTC, datetime, timedelta

import pytest

from batch_assets_tests.factories import make_company, make_request, make_session
from batch_assets_tests.store.queries.support import PERMANENT, Desk, completed, failed

AN_END = datetime(2026, 1, 2, tzinfo=UTC)


def before_us(desk: Desk, *, success: bool, model: str = "gpt-4o-mini") -> str:
    """A row as LiveDash's older, live way left it."""
    with desk.engine.begin() as connection:
        session_id = make_session(connection, make_company(connection))
        row = make_request(connection, session_id, success=success, model=model)
    desk.do(
        'UPDATE public."AIProcessingRequest" SET "completedAt" = :at WHERE id = :id',
        id=row,
        at=AN_END,
    )
    return row


@pytest.mark.parametrize(
    ("success", "model", "bucket"),
    [(True, "gpt-4o-mini", "answered_before"), (False, "unknown", "failed_before")],
)
def test_it_is_counted_apart_and_never_taken_in(
    desk: Desk, success: bool, model: str, bucket: str
) -> None:
    row = before_us(desk, success=success, model=model)
    assert desk.queries.notice_pending(100) == 0
    assert desk.intake() == set()
    assert desk.statuses([row]) == {"PENDING_BATCHING"}, "it is LiveDash's row, and stays as it is"
    (company,) = desk.queries.statistics()
    assert (company.waiting, getattr(company, bucket)) == (0, 1)


def test_an_answer_without_an_end_was_paid_for_as_well(desk: Desk) -> None:
    with desk.engine.begin() as connection:
        make_request(connection, make_session(connection, make_company(connection)), success=True)
    assert desk.queries.notice_pending(100) == 0


def test_one_that_gets_an_answer_while_it_waits_leaves_the_intake(desk: Desk) -> None:
    company_id, (row, other) = desk.company(2)
    desk.do('UPDATE public."AIProcessingRequest" SET success = true WHERE id = :id', id=row)
    (claimed,) = desk.claim(company_id).batches
    assert claimed.requests == 1
    assert desk.attempt(other).outcome is None
    desk.queries.notice_pending(100)
    assert desk.intake() == set()


@pytest.mark.parametrize("outcome", [completed, lambda row: failed(row, PERMANENT)])
def test_one_of_ours_that_is_put_back_by_hand_is_sent_again(desk: Desk, outcome: object) -> None:
    batch, (row, *_) = desk.ended(1)
    desk.write(batch.lease, [outcome(row)])  # type: ignore[operator]
    desk.finalize(batch.lease)
    desk.do(
        'UPDATE public."AIProcessingRequest" SET "processingStatus" = \'PENDING_BATCHING\','
        ' "batchId" = NULL WHERE id = :id',
        id=row,
    )
    assert desk.queries.notice_pending(100) == 1
    (claimed,) = desk.claim(batch.company_id).batches
    assert claimed.requests == 1
    request = desk.request(row)
    assert (request.success, request.completedAt) == (False, None)


def test_it_hides_nothing_that_is_new(desk: Desk) -> None:
    with desk.engine.begin() as connection:
        company_id = make_company(connection)
        session_id = make_session(connection, company_id)
        make_request(connection, session_id, success=True, age=timedelta(days=30))
        again = make_request(connection, session_id)
    desk.queries.notice_pending(100)
    assert desk.intake() == {again}, "an answer of before leads nobody"
