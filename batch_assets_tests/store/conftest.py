"""Two databases, for what both implementations have to leave alike."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from batch_assets_tests.databases import TestDatabases
from batch_assets_tests.one_database import one_database


@pytest.fixture(scope="module")
def original_engine(databases: TestDatabases) -> Iterator[Engine]:
    with one_database(databases) as opened:
        yield opened


@pytest.fixture(scope="module")
def optimized_engine(databases: TestDatabases) -> Iterator[Engine]:
    with one_database(databases) as opened:
        yield opened
