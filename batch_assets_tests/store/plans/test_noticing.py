"""A whole backlog that is new: read once, whoever else notices it, and no history for it."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from batch_assets.store.sql import load
from batch_assets.store.strategy import choose_queries
from batch_assets_tests.databases import TestDatabases, connected
from batch_assets_tests.one_database import engine_on
from batch_assets_tests.store.plans.world import forget_statements
from batch_assets_tests.store.queries.support import Desk

SQL = load(Path(__file__).with_name("noticing.sql"))
BACKLOG = 20_000
PAGES_A_REQUEST = 30
"""What it takes to look at one, at those of its session, and to take it in with its indexes."""
AT_ONCE = 1.5
READ = text("""
    SELECT coalesce(sum(s.shared_blks_hit + s.shared_blks_read), 0)::bigint
    FROM public.pg_stat_statements AS s
    JOIN pg_catalog.pg_database AS d ON d.oid = s.dbid
    WHERE d.datname = current_database() AND s.query LIKE '%intake%'
""")
# The history is large: one of xdist's workers makes it.
pytestmark = pytest.mark.xdist_group("noticing")


@pytest.fixture(scope="module")
def history_url(databases: TestDatabases) -> Iterator[str]:
    """A database with a history, to be copied; no statistics of it were taken."""
    url = databases.clone_migrated()
    with connected(url) as connection:
        connection.execute(text("CREATE EXTENSION pg_stat_statements SCHEMA public"))
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        for table in ('public."AIProcessingRequest"', 'public."Session"'):
            # Else the statistics would depend on how long the tests take.
            connection.execute(text(f"ALTER TABLE {table} SET (autovacuum_enabled = false)"))
        for name in ("companies", "sessions", "history"):
            connection.execute(SQL[name])
    yield url
    databases.drop(url)


@pytest.fixture(scope="module", params=["never", "before it waited", "while it waits"])
def engine(
    request: pytest.FixtureRequest, databases: TestDatabases, history_url: str
) -> Iterator[Engine]:
    """20,000 wait in 220,000; the planner's statistics were taken when the name says."""
    with engine_on(databases, databases.copy(history_url)) as opened:
        if request.param == "before it waited":
            analyze(opened)
        with opened.begin() as connection:
            connection.execute(SQL["backlog"])
        if request.param == "while it waits":
            analyze(opened)
        yield opened


@pytest.fixture
def desk(engine: Engine) -> Desk:
    """Nothing is noticed yet, and the planner knows that the intake is empty."""
    forget(engine)
    return Desk(engine, choose_queries(engine, optimized=True))


def forget(engine: Engine) -> None:
    """Empty the intake, and let the planner know it."""
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text("TRUNCATE batch_assets.intake"))
        connection.execute(text("VACUUM ANALYZE batch_assets.intake"))
        connection.execute(
            text("UPDATE batch_assets.intake_progress SET noticed_until = NULL, swept_at = NULL")
        )


def analyze(engine: Engine) -> None:
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text("VACUUM ANALYZE"))


def pages_read(desk: Desk) -> int:
    with desk.engine.connect() as connection:
        return int(connection.execute(READ).scalar_one())


def pages_of_noticing(desk: Desk, sessions: int) -> int:
    """The pages that so many read which notice at the same moment; all notice each request once."""
    forget_statements(desk.engine)
    ready = threading.Barrier(sessions)

    def notice(_: int) -> int:
        ready.wait()
        return choose_queries(desk.engine, optimized=True).notice_pending(100_000)

    with ThreadPoolExecutor(sessions) as pool:
        assert sum(pool.map(notice, range(sessions))) == BACKLOG
    return pages_read(desk)


def test_the_first_notice_reads_no_history(desk: Desk) -> None:
    assert 0 < pages_of_noticing(desk, 1) < PAGES_A_REQUEST * BACKLOG


def test_two_that_notice_the_same_at_once_read_little_more_than_one(desk: Desk) -> None:
    one = pages_of_noticing(desk, 1)
    forget(desk.engine)
    assert pages_of_noticing(desk, 2) < AT_ONCE * one
