"""A million requests that LiveDash has answered before, which all look as if they waited."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine, text

from batch_assets.store.conservation import Conservation
from batch_assets.store.livedash_acts import LiveDashActs
from batch_assets.store.registry import Registry
from batch_assets.store.strategy import choose_queries
from batch_assets.store.watching import Watching
from batch_assets_tests.databases import TestDatabases
from batch_assets_tests.factories import make_request, make_session
from batch_assets_tests.one_database import one_database
from batch_assets_tests.policies import a_policy
from batch_assets_tests.store.plans.world import forget_statements, make_history
from batch_assets_tests.store.queries.support import Desk

ROWS = 1_000_000
COMPANIES = [f"c{number:03}" for number in range(500)]
QUIET_SECONDS = a_policy().external_quiet_seconds
MOST_BYTES = 50_000_000
READ = text("""
    SELECT coalesce(sum(s.shared_blks_hit + s.shared_blks_read), 0)::bigint
        * current_setting('block_size')::bigint
    FROM public.pg_stat_statements AS s
    JOIN pg_database AS d ON d.oid = s.dbid
    WHERE d.datname = current_database() AND s.query NOT LIKE '%pg_stat_statements%'
""")

# The history is large: one of xdist's workers makes it.
pytestmark = pytest.mark.xdist_group("history")


@pytest.fixture(scope="module")
def engine(databases: TestDatabases) -> Iterator[Engine]:
    with one_database(databases) as opened:
        make_history(opened)
        with opened.begin() as connection:
            connection.execute(text("CREATE EXTENSION pg_stat_statements SCHEMA public"))
        assert choose_queries(opened, optimized=True).notice_pending(10_000) == 0
        yield opened


@pytest.fixture
def desk(engine: Engine) -> Desk:
    return Desk(engine, choose_queries(engine, optimized=True))


def bytes_read(desk: Desk) -> int:
    with desk.engine.connect() as connection:
        return int(connection.execute(READ).scalar_one())


def tick(desk: Desk) -> int:
    """What a run and the ticks ask where there is nothing to do; how many requests were new."""
    Registry(desk.engine, QUIET_SECONDS).snapshot()
    LiveDashActs(desk.engine).notice(QUIET_SECONDS)
    noticed = desk.queries.notice_pending(100_000)
    desk.queries.pending_by_company(COMPANIES)
    Conservation(desk.engine).open_rows(60)
    watching = Watching(desk.engine)
    watching.newly_due(a_policy().due_rule, datetime.now(UTC))
    watching.left_to_do(a_policy().due_rule, datetime.now(UTC), {"webhook": "f"}, "a")
    return noticed


def test_a_tick_reads_little_of_them(desk: Desk) -> None:
    for _ in range(3):
        forget_statements(desk.engine)
        assert tick(desk) == 0
        read = bytes_read(desk)
        assert 0 < read < MOST_BYTES, f"{read:,} bytes"


def test_a_new_request_is_noticed_at_once(desk: Desk) -> None:
    with desk.engine.begin() as connection:
        new = make_request(connection, make_session(connection, COMPANIES[7]))
    forget_statements(desk.engine)
    assert tick(desk) == 1
    assert 0 < bytes_read(desk) < MOST_BYTES
    assert desk.intake() == {new}


def test_they_are_counted_by_whoever_asks(desk: Desk) -> None:
    statistics = desk.queries.statistics()
    assert sum(one.answered_before for one in statistics) == ROWS * 9 // 10
    assert sum(one.failed_before for one in statistics) == ROWS // 10
