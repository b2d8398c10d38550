"""The intake: what waits, noticed from LiveDash's rows and forgotten with them."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from batch_assets_tests.factories import (
    make_company,
    make_external_batch,
    make_request,
    make_requests,
    make_session,
)
from batch_assets_tests.store.queries.support import Desk


def test_only_pending_requests_without_a_batch_are_noticed(desk: Desk) -> None:
    company_id, (pending,) = desk.company(1)
    with desk.engine.begin() as connection:
        for status in ("BATCHING_IN_PROGRESS", "PROCESSING_COMPLETE", "PROCESSING_FAILED"):
            make_request(connection, make_session(connection, company_id), status=status)
        held = make_request(connection, make_session(connection, company_id))
        make_external_batch(connection, company_id, request_ids=[held])
    desk.do(
        'UPDATE public."AIProcessingRequest" SET "processingStatus" = \'PENDING_BATCHING\''
        " WHERE id = :id",
        id=held,
    )
    assert desk.queries.notice_pending(100) == 0
    assert desk.intake() == {pending}


def test_each_request_is_noticed_once_and_says_how_many_came_in(desk: Desk) -> None:
    company_id, _ = desk.company()
    with desk.engine.begin() as connection:
        for _ in range(3):
            make_request(connection, make_session(connection, company_id))
    assert desk.queries.notice_pending(100) == 3
    assert desk.queries.notice_pending(100) == 0


def test_no_more_come_in_than_asked_for_and_the_oldest_first(desk: Desk) -> None:
    company_id, _ = desk.company()
    with desk.engine.begin() as connection:
        young, oldest, old = (
            make_request(connection, make_session(connection, company_id), age=age)
            for age in (timedelta(0), timedelta(hours=2), timedelta(hours=1))
        )
    assert desk.queries.notice_pending(2) == 2
    assert desk.intake() == {oldest, old}
    assert desk.queries.notice_pending(2) == 1
    assert desk.intake() == {oldest, old, young}
    assert desk.queries.notice_pending(0) == 0


def test_a_limit_is_for_all_companies_together(desk: Desk) -> None:
    with desk.engine.begin() as connection:
        for _ in range(3):
            make_requests(connection, make_company(connection), 4)
    assert desk.queries.notice_pending(5) == 5
    assert desk.queries.notice_pending(5) == 5
    assert desk.queries.notice_pending(5) == 2


def test_an_entry_has_the_company_the_model_and_the_date(desk: Desk) -> None:
    company_id, (request_id,) = desk.company(1, model="gpt-4.1")
    with desk.engine.begin() as connection:
        (entry,) = connection.execute(
            text("SELECT request_id, company_id, model, requested_at FROM batch_assets.intake")
        )
    expected = (request_id, company_id, "gpt-4.1", desk.request(request_id).requestedAt)
    assert tuple(entry) == expected


def test_requests_of_a_suspended_company_are_there_when_it_is_active_again(desk: Desk) -> None:
    with desk.engine.begin() as connection:
        company_id = make_company(connection, status="SUSPENDED")
        ids = make_requests(connection, company_id, 3)
    assert desk.queries.notice_pending(100) == 3
    assert desk.claim(company_id).batches == ()
    desk.do("UPDATE public.\"Company\" SET status = 'ACTIVE'")
    assert desk.queries.notice_pending(100) == 0
    assert [batch.requests for batch in desk.claim(company_id).batches] == [3]
    assert desk.statuses(ids) == {"BATCHING_IN_PROGRESS"}


def test_a_request_whose_date_lies_in_the_future_is_noticed_with_those_after_it(
    desk: Desk,
) -> None:
    company_id, (future,) = desk.company(1, age=-timedelta(days=400))
    (young,) = desk.more(company_id, 1)
    assert desk.intake() == {future, young}


@pytest.mark.parametrize("date", ["infinity", "-infinity", "20000-01-01", "4000-01-01 BC"])
def test_a_date_that_no_driver_knows_is_set_aside_and_keeps_nobody_waiting(
    desk: Desk, date: str
) -> None:
    company_id, (usual,) = desk.company(1)
    with desk.engine.begin() as connection:
        odd = make_request(connection, make_session(connection, company_id))
    desk.do(
        f'UPDATE public."AIProcessingRequest" SET "requestedAt" = \'{date}\' WHERE id = :id', id=odd
    )
    assert desk.queries.notice_pending(100) == 1
    assert desk.intake() == {odd, usual}
    (backlog,) = desk.queries.pending_by_company([company_id])
    assert 0 <= backlog.oldest_wait_seconds < 600
    claim = desk.claim(company_id)
    assert [batch.requests for batch in claim.batches] == [1]
    assert claim.rejected == {"unusable_date": 1}
    assert desk.dead_letter(odd).code == "unusable_date"
    assert desk.intake() == set()


def test_a_request_that_is_committed_long_after_its_date_is_noticed(desk: Desk) -> None:
    company_id, (young,) = desk.company(1)
    (late,) = desk.more(company_id, 1, age=timedelta(days=3))
    assert desk.intake() == {young, late}


def test_a_request_that_livedash_puts_back_is_noticed_again(desk: Desk) -> None:
    _, (request_id,) = desk.company(1, age=timedelta(days=3))
    desk.do('UPDATE public."AIProcessingRequest" SET "processingStatus" = \'PROCESSING_FAILED\'')
    assert desk.queries.notice_pending(100) == 0
    assert desk.intake() == set()
    desk.do('UPDATE public."AIProcessingRequest" SET "processingStatus" = \'PENDING_BATCHING\'')
    assert desk.queries.notice_pending(100) == 1
    assert desk.intake() == {request_id}


def test_a_request_that_is_given_another_model_waits_for_that_one(desk: Desk) -> None:
    company_id, (request_id,) = desk.company(1, model="gpt-4o-mini")
    desk.do("UPDATE public.\"AIProcessingRequest\" SET model = 'gpt-4.1'")
    assert desk.claim(company_id).batches == ()
    assert desk.queries.notice_pending(100) == 1
    assert desk.column_pairs("SELECT request_id, model FROM batch_assets.intake") == [
        (request_id, "gpt-4.1")
    ]
    assert [batch.model for batch in desk.claim(company_id).batches] == ["gpt-4.1"]


@pytest.mark.parametrize(
    "change",
    [
        'DELETE FROM public."Session" AS s USING public."AIProcessingRequest" AS r'
        ' WHERE r.id = :id AND s.id = r."sessionId"',
        'DELETE FROM public."AIProcessingRequest" WHERE id = :id',
        'UPDATE public."AIProcessingRequest" SET "processingStatus" = \'PROCESSING_COMPLETE\''
        " WHERE id = :id",
        'DELETE FROM public."Company" AS c USING public."AIProcessingRequest" AS r,'
        ' public."Session" AS s WHERE r.id = :id AND s.id = r."sessionId"'
        ' AND c.id = s."companyId"',
    ],
    ids=["session deleted", "request deleted", "done by LiveDash", "company deleted"],
)
def test_what_livedash_takes_back_is_forgotten(desk: Desk, change: str) -> None:
    _, (gone,) = desk.company(1)
    _, (stays,) = desk.company(1)
    desk.do(change, id=gone)
    desk.queries.notice_pending(100)
    assert desk.intake() == {stays}


def test_a_session_that_moved_to_another_company_waits_for_that_one(desk: Desk) -> None:
    before, (request_id,) = desk.company(1)
    after, _ = desk.company()
    desk.do(
        'UPDATE public."Session" SET "companyId" = :company WHERE id = :id',
        company=after,
        id=desk.session_id(request_id),
    )
    desk.queries.notice_pending(100)
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
