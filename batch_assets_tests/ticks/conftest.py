"""A database and a key in the environment, as ticks find them."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from batch_assets.store.optimized import OptimizedQueries
from batch_assets_tests.databases import TestDatabases
from batch_assets_tests.one_database import empty, one_database
from batch_assets_tests.store.queries.support import Desk


@pytest.fixture(scope="module")
def module_engine(databases: TestDatabases) -> Iterator[Engine]:
    with one_database(databases) as opened:
        yield opened


@pytest.fixture
def desk(module_engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Desk:
    empty(module_engine)
    url = module_engine.url.set(drivername="postgresql")
    monkeypatch.setenv("DATABASE_URL", url.render_as_string(hide_password=False))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    return Desk(module_engine, OptimizedQueries(module_engine))


@pytest.fixture
def unreachable(monkeypatch: pytest.MonkeyPatch) -> str:
    """A database that does not answer; its password, which nobody may read."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://livedash:pw-canary@127.0.0.1:9/livedash")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary")
    return "canary"
