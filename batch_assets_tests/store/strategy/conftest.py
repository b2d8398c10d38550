"""What the tests of the strategy stand on: one database, emptied for each of them."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from batch_assets.store.engine import open_engine
from batch_assets.store.original import OriginalQueries
from batch_assets_tests.databases import TestDatabases
from batch_assets_tests.store.queries.support import Desk
from batch_assets_tests.store.strategy.breaking import Broken


@pytest.fixture(scope="module")
def module_url(databases: TestDatabases) -> Iterator[str]:
    url = databases.clone_migrated()
    yield url
    databases.drop(url)


@pytest.fixture(scope="module")
def module_engine(module_url: str) -> Iterator[Engine]:
    opened = open_engine(module_url)
    yield opened
    opened.dispose()


@pytest.fixture
def engine(emptied_engine: Engine) -> Engine:
    return emptied_engine


@pytest.fixture
def desk(engine: Engine) -> Desk:
    """Makes rows and brings batches as far as a test needs them, by the original alone."""
    return Desk(engine, OriginalQueries(engine))


@pytest.fixture(scope="module")
def broken(module_url: str) -> Iterator[Broken]:
    """An engine on the same database whose statements can be broken."""
    engine = open_engine(module_url)
    yield Broken(engine)
    engine.dispose()
