"""What the conformance suite of `Queries` needs: a database, and each implementation in turn."""

from collections.abc import Callable

import pytest
from sqlalchemy import Engine

from batch_assets.store.original import OriginalQueries
from batch_assets.store.protocol import Queries
from batch_assets.store.registry import Registry
from batch_assets.store.strategy.comparison import make_optimized
from batch_assets_tests.store.queries.support import Desk

IMPLEMENTATIONS: dict[str, Callable[[Engine], Queries]] = {
    "original": OriginalQueries,
    "optimized": make_optimized,
}
"""Another implementation is added here, and all of this directory holds for it too."""


@pytest.fixture
def engine(emptied_engine: Engine) -> Engine:
    return emptied_engine


@pytest.fixture(params=IMPLEMENTATIONS)
def queries(request: pytest.FixtureRequest, engine: Engine) -> Queries:
    return IMPLEMENTATIONS[request.param](engine)


@pytest.fixture
def desk(engine: Engine, queries: Queries) -> Desk:
    """Makes rows and brings batches as far as a test needs them."""
    return Desk(engine, queries)


@pytest.fixture
def registry(engine: Engine) -> Registry:
    return Registry(engine, external_quiet_seconds=900)
