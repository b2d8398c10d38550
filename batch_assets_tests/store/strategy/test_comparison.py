"""Original against optimized on present data: what differs, has changed, takes too long."""

import itertools

import pytest
from sqlalchemy import Engine, text

from batch_assets.domain.errors import DatabaseAtItsEndError
from batch_assets.domain.records import Company
from batch_assets.store.engine import open_engine
from batch_assets.store.optimized import OptimizedQueries
from batch_assets.store.strategy import Compared, CompareLimits, Verdict, compare
from batch_assets.store.strategy.comparison import IMPLEMENTATIONS
from batch_assets.store.strategy.records import Implementation
from batch_assets_tests.factories import make_company, make_requests
from batch_assets_tests.store.strategy.breaking import made_of
from batch_assets_tests.transaction_pooler import transaction_pooler

LIMITS = CompareLimits(seconds=5)
_tick = itertools.count()


class Forgetful(OptimizedQueries):
    def active_companies(self) -> list[Company]:
        return super().active_companies()[1:]


class Restless(OptimizedQueries):
    def active_companies(self) -> list[Company]:
        return [Company(str(next(_tick)), "another one each time")]


class Slow(OptimizedQueries):
    def active_companies(self) -> list[Company]:
        with self.autocommit.connect() as connection:
            connection.execute(text("SELECT pg_sleep(20)"))
        return []


@pytest.fixture
def reading(engine: Engine) -> Engine:
    """An engine that refuses to write, on a database with two companies."""
    with engine.begin() as connection:
        for _ in range(2):
            make_requests(connection, make_company(connection), 3)
    return open_engine(engine.url.render_as_string(hide_password=False), read_only=True)


def companies(reading: Engine, limits: CompareLimits) -> Compared:
    (found,) = [one for one in compare(reading, limits) if one.query == "active_companies"]
    return found


def test_both_give_the_same(reading: Engine) -> None:
    compared = {one.query: one for one in compare(reading, LIMITS)}
    assert {one.verdict for one in compared.values()} == {Verdict.SAME}
    statistics = compared["statistics"]
    assert statistics.rows == 2
    assert statistics.original_statements > statistics.optimized_statements == 1
    assert statistics.ratio is not None
    assert statistics.ratio > 0
    reading.dispose()


@pytest.mark.parametrize(
    ("queries", "seconds", "found"),
    [
        (Forgetful, 5, (Verdict.DIFFERENT, 1)),
        (Restless, 5, (Verdict.CHANGED, 3)),
        (Slow, 0.2, (Verdict.TOO_SLOW, 0)),
    ],
)
def test_what_is_not_the_same_is_named(
    reading: Engine,
    monkeypatch: pytest.MonkeyPatch,
    queries: type[OptimizedQueries],
    seconds: float,
    found: tuple[Verdict, int],
) -> None:
    both = {**IMPLEMENTATIONS, Implementation.OPTIMIZED: made_of(queries)}
    monkeypatch.setattr("batch_assets.store.strategy.comparison.IMPLEMENTATIONS", both)
    compared = companies(reading, CompareLimits(seconds=seconds))
    assert (compared.verdict, compared.different_rows) == found
    reading.dispose()


def test_the_connections_refuse_to_write(reading: Engine) -> None:
    with (
        reading.connect() as connection,
        pytest.raises(DatabaseAtItsEndError, match="takes no changes"),
    ):
        connection.execute(text('DELETE FROM public."Company"'))
    reading.dispose()


def test_a_pooler_that_refuses_settings_will_do(engine: Engine) -> None:
    with transaction_pooler(engine.url.render_as_string(hide_password=False)) as url:
        pooled = open_engine(url, read_only=True)
        assert {one.verdict for one in compare(pooled, LIMITS)} == {Verdict.SAME}
        pooled.dispose()
