"""A row that somebody else has locked, in a transaction left open, is waited for by nobody."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import psycopg
import pytest
from sqlalchemy import Engine, event, text
from sqlalchemy.pool import ConnectionPoolEntry

from batch_assets.store.engine import open_engine
from batch_assets.store.livedash_acts import LiveDashActs
from batch_assets.store.protocol import Queries
from batch_assets_tests.factories import make_company, make_request, make_requests
from batch_assets_tests.store.queries.conftest import IMPLEMENTATIONS
from batch_assets_tests.store.queries.support import Desk

PATIENCE: Final = "SET lock_timeout = '50ms'"
"""Whoever waits for a lock for so long fails: the locks of these tests are held until they end."""

SESSION: Final = 'SELECT FROM public."Session" WHERE id = :session_id FOR UPDATE'
SESSION_DELETED: Final = 'DELETE FROM public."Session" WHERE id = :session_id'
REQUEST: Final = 'UPDATE public."AIProcessingRequest" SET model = model WHERE id = :request_id'
STAGE: Final = (
    'UPDATE public."SessionProcessingStatus" SET "retryCount" = 1 WHERE "sessionId" = :session_id'
)
NO_STAGE: Final = 'DELETE FROM public."SessionProcessingStatus"'
STAGE_PUT_BACK: Final = "UPDATE public.\"SessionProcessingStatus\" SET status = 'PENDING'"

HELD: Final = [
    pytest.param(SESSION, NO_STAGE, id="session"),
    pytest.param(SESSION_DELETED, NO_STAGE, id="deleted-session"),
    pytest.param(STAGE, STAGE_PUT_BACK, id="stage"),
    pytest.param(REQUEST, STAGE_PUT_BACK, id="request"),
]


@pytest.fixture(scope="module")
def impatient(module_engine: Engine) -> Iterator[Engine]:
    opened = open_engine(module_engine.url.render_as_string(hide_password=False))

    @event.listens_for(opened, "connect")
    def lose_patience(connection: psycopg.Connection[Any], _entry: ConnectionPoolEntry) -> None:
        connection.execute(PATIENCE)
        connection.commit()

    yield opened
    opened.dispose()


@pytest.fixture(params=IMPLEMENTATIONS)
def queries(request: pytest.FixtureRequest, engine: Engine, impatient: Engine) -> Queries:
    return IMPLEMENTATIONS[request.param](impatient)


@contextmanager
def held(desk: Desk, statement: str, request_id: str) -> Iterator[None]:
    """Somebody has done this to a request, or to its session, and has not committed it yet."""
    keys = {"request_id": request_id, "session_id": desk.session_id(request_id)}
    named = text(statement)
    with desk.engine.connect() as other:
        other.execute(named, {name: keys[name] for name in named.compile().params})
        yield
        other.rollback()


def two_companies(desk: Desk) -> tuple[list[str], list[str]]:
    """Companies of two requests that nobody has noticed yet: their ids, and the requests'."""
    with desk.engine.begin() as connection:
        company_ids = [make_company(connection) for _ in range(2)]
        ids = [one for each in company_ids for one in make_requests(connection, each, 2)]
    return company_ids, ids


def claimed(desk: Desk, company_ids: list[str]) -> int:
    return sum(batch.requests for batch in desk.claim(*company_ids).batches)


def not_in_progress(desk: Desk) -> list[str]:
    """Sessions whose stage says another thing."""
    return desk.column(
        'SELECT "sessionId" FROM public."SessionProcessingStatus" WHERE status <> \'IN_PROGRESS\''
    )


@pytest.mark.parametrize(("statement", "stages"), HELD)
def test_others_are_claimed(desk: Desk, statement: str, stages: str) -> None:
    company_ids, ids = two_companies(desk)
    assert desk.queries.notice_pending(100) == 4
    desk.do(stages)
    with held(desk, statement, ids[0]):
        assert claimed(desk, company_ids) == 3
    assert claimed(desk, company_ids) == 1


@pytest.mark.parametrize(("statement", "stages"), HELD)
def test_others_are_noticed(desk: Desk, statement: str, stages: str) -> None:
    company_ids, ids = two_companies(desk)
    desk.queries.notice_pending(100)
    desk.do("DELETE FROM batch_assets.intake")
    desk.do(stages)
    with held(desk, statement, ids[0]):
        assert desk.queries.notice_pending(100) == (4 if statement == REQUEST else 3)
    desk.queries.notice_pending(100)
    assert claimed(desk, company_ids) == 4


def test_a_stage_that_is_locked_is_put_right_when_it_is_free(desk: Desk) -> None:
    _, ids = two_companies(desk)
    desk.queries.notice_pending(100)
    desk.do(STAGE_PUT_BACK)
    with held(desk, STAGE, ids[0]):
        desk.queries.notice_pending(100)
        assert not_in_progress(desk) == [desk.session_id(ids[0])]
    desk.queries.notice_pending(100)
    assert not_in_progress(desk) == []


def test_the_one_that_others_follow_waits_for_none_of_them(desk: Desk) -> None:
    company_ids, ids = two_companies(desk)
    with desk.engine.begin() as connection:
        again = make_request(connection, desk.session_id(ids[0]))
    with held(desk, REQUEST, again):
        assert desk.queries.notice_pending(100) == 4
    desk.queries.notice_pending(100)
    assert claimed(desk, company_ids) == 4
    assert desk.column("SELECT request_id FROM batch_assets.follower") == [again]


@pytest.mark.parametrize("statement", [REQUEST, STAGE])
def test_what_livedash_has_reset_is_put_back_when_it_is_free(desk: Desk, statement: str) -> None:
    _, ids = desk.submitted(2)
    desk.do(
        'UPDATE public."AIProcessingRequest" SET "processingStatus" = \'PENDING_BATCHING\','
        ' "batchId" = NULL'
    )
    desk.do(STAGE_PUT_BACK)
    acts = LiveDashActs(desk.engine)
    with held(desk, statement, ids[0]):
        assert acts.notice(900).put_back == 1
    assert acts.notice(900).put_back == 1
    assert desk.statuses(ids) == {"BATCHING_IN_PROGRESS"}
