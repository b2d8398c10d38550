"""The intake: what waits, noticed from LiveDash's rows and forgotten with them."""

from datetime import timedelta

import pytest

from batch_assets_tests.factories import make_foreign_batch, make_request, make_session
from batch_assets_tests.store.queries.support import Desk


def test_only_pending_requests_without_a_batch_are_noticed(desk: Desk) -> None:
    company_id, (pending,) = desk.company(1)
    with desk.engine.begin() as connection:
        for status in ("BATCHING_IN_PROGRESS", "PROCESSING_COMPLETE", "PROCESSING_FAILED"):
            make_request(connection, make_session(connection, company_id), status=status)
        held = make_request(connection, make_session(connection, company_id))
        make_foreign_batch(connection, company_id, request_ids=[held])
    desk.do(
        'UPDATE public."AIProcessingRequest" SET "processingStatus" = \'PENDING_BATCHING\''
        " WHERE id = :id",
        id=held,
    )
    assert desk.queries.notice_pending([company_id], 100) == 0
    assert desk.intake() == {pending}


def test_each_request_is_noticed_once_and_says_how_many_came_in(desk: Desk) -> None:
    company_id, _ = desk.company()
    with desk.engine.begin() as connection:
        for _ in range(3):
            make_request(connection, make_session(connection, company_id))
    assert desk.queries.notice_pending([company_id], 100) == 3
    assert desk.queries.notice_pending([company_id], 100) == 0


def test_the_limit_is_for_each_company_and_takes_the_oldest(desk: Desk) -> None:
    old, other = desk.company()[0], desk.company()[0]
    oldest = {}
    with desk.engine.begin() as connection:
        for company_id in (old, other):
            made = [
                make_request(connection, make_session(connection, company_id), age=age)
                for age in (timedelta(0), timedelta(hours=2), timedelta(hours=1))
            ]
            oldest[company_id] = {made[1], made[2]}
    assert desk.queries.notice_pending([old, other], 2) == 4
    assert desk.intake() == oldest[old] | oldest[other]


def test_a_company_that_is_not_named_is_left_alone(desk: Desk) -> None:
    named, other = desk.company()[0], desk.company()[0]
    with desk.engine.begin() as connection:
        make_request(connection, make_session(connection, other))
    assert desk.queries.notice_pending([named], 100) == 0
    assert desk.queries.notice_pending([], 100) == 0


@pytest.mark.parametrize(
    "change",
    [
        'DELETE FROM public."Session" AS s USING public."AIProcessingRequest" AS r'
        ' WHERE r.id = :id AND s.id = r."sessionId"',
        'DELETE FROM public."AIProcessingRequest" WHERE id = :id',
        'UPDATE public."AIProcessingRequest" SET "processingStatus" = \'PROCESSING_COMPLETE\''
        " WHERE id = :id",
    ],
    ids=["session deleted", "request deleted", "done by LiveDash"],
)
def test_what_livedash_takes_back_is_forgotten(desk: Desk, change: str) -> None:
    company_id, (gone, stays) = desk.company(2)
    desk.do(change, id=gone)
    desk.queries.notice_pending([company_id], 100)
    assert desk.intake() == {stays}


def test_a_session_that_moved_to_another_company_waits_for_that_one(desk: Desk) -> None:
    before, (request_id,) = desk.company(1)
    after, _ = desk.company()
    desk.do(
        'UPDATE public."Session" SET "companyId" = :company WHERE id = :id',
        company=after,
        id=desk.session_id(request_id),
    )
    desk.queries.notice_pending([before, after], 100)
    backlogs = desk.queries.pending_by_company([before, after])
    assert [(backlog.company_id, backlog.requests) for backlog in backlogs] == [(after, 1)]


def test_backlogs_come_oldest_first_without_companies_that_have_none(desk: Desk) -> None:
    young, _ = desk.company(2, age=timedelta(minutes=1))
    nothing, _ = desk.company()
    old, _ = desk.company(1, age=timedelta(hours=1))
    found = desk.queries.pending_by_company([young, nothing, old])
    assert [(backlog.company_id, backlog.requests) for backlog in found] == [(old, 1), (young, 2)]
    assert found[0].oldest_wait_seconds == pytest.approx(3_600, abs=60)
    assert found[1].oldest_wait_seconds == pytest.approx(60, abs=30)
