"""A lost connection is replaced on the same implementation, and is no reason to fall back."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Engine, event, text
from sqlalchemy.exc import DBAPIError, OperationalError

from batch_assets.domain.records import Conversation
from batch_assets.store.connection_failures import is_lost, retry_lost
from batch_assets.store.engine import open_engine
from batch_assets.store.optimized import OptimizedQueries
from batch_assets.store.strategy import QueryMode, Strategy, Toggle
from batch_assets_tests.store.queries.support import Desk
from batch_assets_tests.store.strategy.breaking import MISSING, Broken, made_of
from batch_assets_tests.store.strategy.scenes import SCENES

END_OTHERS = text(
    "SELECT count(pg_terminate_backend(a.pid)) FROM pg_stat_activity AS a"
    " WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()"
    " AND a.backend_type = 'client backend'"
)


def end_connections(url: str) -> None:
    """End every connection to a database, as a restart of the server or a firewall does."""
    engine = open_engine(url)
    with engine.begin() as connection:
        connection.execute(END_OTHERS)
    engine.dispose()


@pytest.mark.parametrize("operation", ["claim", "conversations", "renew", "statistics"])
def test_stale_connections_are_replaced(
    operation: str,
    engine: Engine,
    desk: Desk,
    module_url: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    ask, judge = SCENES[operation](desk)
    strategy = Strategy(engine, Toggle(QueryMode.OPTIMIZED))
    end_connections(module_url)
    judge(ask(strategy.queries))
    entry = strategy.report({}).query_operations[operation]
    assert (entry["calls"], entry["failures"], entry["fallbacks"]) == (1, 0, 0)
    assert caplog.records == []


@contextmanager
def ending_itself(engine: Engine) -> Iterator[list[str]]:
    """Each connection ends with its first statement."""
    sent: list[str] = []

    def swap(*arguments: Any) -> tuple[str, Any]:
        sent.append(arguments[2])
        return "SELECT pg_terminate_backend(pg_backend_pid())", {}

    event.listen(engine, "before_cursor_execute", swap, retval=True)
    yield sent
    event.remove(engine, "before_cursor_execute", swap)


@pytest.mark.parametrize("operation", ["claim", "conversations", "statistics"])
def test_it_is_reported_after_three_tries_and_nothing_falls_back(
    operation: str, engine: Engine, desk: Desk, broken: Broken
) -> None:
    ask, _ = SCENES[operation](desk)
    strategy = broken.strategy(engine)
    with ending_itself(broken.engine) as sent, pytest.raises(DBAPIError) as caught:
        ask(strategy.queries)
    assert len(sent) == 3
    assert is_lost(caught.value)
    assert strategy.totals() == {}


def test_a_server_that_is_gone_is_reported(engine: Engine) -> None:
    gone = open_engine("postgresql://user@127.0.0.1:9/database")
    with pytest.raises(OperationalError) as caught:
        Strategy(gone, Toggle(QueryMode.OPTIMIZED)).queries.active_companies()
    assert is_lost(caught.value)


def test_what_the_server_refuses_is_not_tried_again(engine: Engine) -> None:
    calls = []

    @retry_lost
    def refused() -> None:
        calls.append(1)
        with engine.begin() as connection:
            connection.execute(text(MISSING))

    with pytest.raises(DBAPIError, match="artefact_that_is_gone"):
        refused()
    assert calls == [1]


def three_batches(desk: Desk) -> tuple[list[str], list[str]]:
    """Batches in an order that is not that of their making, and what a stream of them gives."""
    made = [desk.claimed(count) for count in (4, 3, 5)]
    chosen = [made[2], made[0], made[1]]
    return [batch.id for batch, _ in chosen], [one for _, ids in chosen for one in ids]


def read(stream: Iterator[Conversation], count: int) -> list[str]:
    return [next(stream).request_id for _ in range(count)]


@pytest.fixture
def small_fetches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else all of a test's conversations come with the first fetch."""
    for name in ("FIRST_FETCH", "MOST_ROWS_A_FETCH"):
        monkeypatch.setattr(f"batch_assets.store.optimized.reading.{name}", 2)


@pytest.mark.usefixtures("small_fetches")
@pytest.mark.parametrize("mode", [QueryMode.OPTIMIZED, QueryMode.ORIGINAL])
@pytest.mark.parametrize("read_before", [0, 1, 5, 7, 11])
def test_a_stream_goes_on_with_the_rest_on_a_new_connection(
    engine: Engine, desk: Desk, module_url: str, mode: QueryMode, read_before: int
) -> None:
    batch_ids, expected = three_batches(desk)
    strategy = Strategy(engine, Toggle(mode))
    stream = strategy.queries.conversations(batch_ids)
    found = read(stream, read_before)
    end_connections(module_url)
    found += [one.request_id for one in stream]
    assert found == expected
    entry = strategy.report({}).query_operations["conversations"]
    assert (entry["calls"], entry["rows"], entry["fallbacks"]) == (1, 12, 0)


class FailingLate(OptimizedQueries):
    """Fails at the server after `READ` conversations."""

    READ = 0

    def conversations(self, batch_ids: Sequence[str]) -> Iterator[Conversation]:
        for number, conversation in enumerate(super().conversations(batch_ids)):
            if number == self.READ:
                with self.autocommit.connect() as connection:
                    connection.execute(text(MISSING))
            yield conversation


@pytest.mark.parametrize("read_before", [0, 1, 5, 6, 11])
def test_the_original_goes_on_where_a_stream_failed(
    engine: Engine, desk: Desk, monkeypatch: pytest.MonkeyPatch, read_before: int
) -> None:
    monkeypatch.setattr(FailingLate, "READ", read_before)
    batch_ids, expected = three_batches(desk)
    strategy = Strategy(engine, Toggle(QueryMode.OPTIMIZED), optimized=made_of(FailingLate))
    stream = strategy.queries.conversations(batch_ids)
    assert [one.request_id for one in stream] == expected
    entry = strategy.report({}).query_operations["conversations"]
    assert (entry["calls"], entry["rows"], entry["fallbacks"]) == (1, 12, 1)


def test_a_stream_that_is_left_ends_its_transaction(engine: Engine, desk: Desk) -> None:
    batch_ids, expected = three_batches(desk)
    strategy = Strategy(engine, Toggle(QueryMode.OPTIMIZED))
    stream = strategy.queries.conversations(batch_ids)
    assert read(stream, 2) == expected[:2]
    assert isinstance(stream, Generator)
    stream.close()
    assert engine.pool.checkedout() == 0  # type: ignore[attr-defined] # a QueuePool
    entry = strategy.report({}).query_operations["conversations"]
    assert (entry["calls"], entry["failures"], entry["rows"]) == (1, 0, 2)
