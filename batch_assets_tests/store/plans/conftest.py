"""The large database, and the two moments that the planner's statistics may be of."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, text

from batch_assets.store.strategy import choose_queries
from batch_assets_tests.databases import TestDatabases
from batch_assets_tests.one_database import one_database
from batch_assets_tests.store.plans.world import BACKLOG, SUSPENDED, make_world
from batch_assets_tests.store.queries.support import Desk


@pytest.fixture(scope="module")
def engine(databases: TestDatabases) -> Iterator[Engine]:
    with one_database(databases) as opened:
        make_world(opened)
        assert (
            choose_queries(opened, optimized=True).notice_pending(1_000_000) == SUSPENDED + BACKLOG
        )
        yield opened


@pytest.fixture(scope="module", params=["when nothing waited", "of now"])
def statistics(request: pytest.FixtureRequest, engine: Engine) -> str:
    """When the planner's statistics were taken; tests of the first moment run first."""
    if request.param == "of now":
        with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            connection.execute(text("VACUUM ANALYZE"))
    return str(request.param)


@pytest.fixture
def desk(engine: Engine, statistics: str) -> Desk:
    desk = Desk(engine, choose_queries(engine, optimized=True))
    # Whatever earlier tests have claimed: there is room for more.
    desk.do("UPDATE batch_assets.batch SET estimated_tokens = 0 WHERE state = 'claimed'")
    return desk
