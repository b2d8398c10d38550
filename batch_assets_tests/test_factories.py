"""The factories write what LiveDash would: rows that its own constraints accept."""

from datetime import timedelta

import pytest
from sqlalchemy import Engine, create_engine, func, select

from batch_assets.store.tables.livedash import ai_processing_request, message
from batch_assets.store.urls import application_url
from batch_assets_tests.factories import (
    make_company,
    make_external_batch,
    make_request,
    make_requests,
    make_session,
)


def test_one_request_is_pending_and_as_old_as_asked(engine: Engine) -> None:
    columns = ai_processing_request.c
    with engine.begin() as conn:
        session_id = make_session(conn, make_company(conn), messages=[("user", "Hoi"), ("x", "")])
        request_id = make_request(conn, session_id, age=timedelta(hours=2))
        row = conn.execute(
            select(
                columns.processingStatus,
                columns.success,
                columns.totalTokens,
                (func.now() - columns.requestedAt).label("age"),
            ).where(columns.id == request_id)
        ).one()
        spoken = conn.execute(
            select(message.c.role, message.c.content).order_by(message.c.order)
        ).all()
    assert (row.processingStatus, row.success, row.totalTokens) == ("PENDING_BATCHING", False, 0)
    assert row.age == pytest.approx(timedelta(hours=2), abs=timedelta(minutes=1))
    assert [tuple(line) for line in spoken] == [("user", "Hoi"), ("x", "")]


def test_many_requests_come_oldest_first_with_a_session_each(engine: Engine) -> None:
    columns = ai_processing_request.c
    with engine.begin() as conn:
        ids = make_requests(conn, make_company(conn), 50, messages=3, age=timedelta(minutes=40))
        found = conn.execute(select(columns.id).order_by(columns.requestedAt)).scalars().all()
        sessions = conn.execute(select(func.count(columns.sessionId.distinct()))).scalar_one()
        messages = conn.execute(select(func.count()).select_from(message)).scalar_one()
    assert found == ids
    assert (sessions, messages) == (50, 150)


def test_an_external_batch_holds_its_requests_in_livedash_as_it_is(
    livedash_database_url: str,
) -> None:
    columns = ai_processing_request.c
    engine = create_engine(application_url(livedash_database_url))
    with engine.begin() as conn:
        company_id = make_company(conn, status="SUSPENDED")
        ids = make_requests(conn, company_id, 3)
        batch_id = make_external_batch(conn, company_id, request_ids=ids[:2])
        held = conn.execute(select(columns.id).where(columns.batchId == batch_id)).scalars().all()
    engine.dispose()
    assert sorted(held) == sorted(ids[:2])
