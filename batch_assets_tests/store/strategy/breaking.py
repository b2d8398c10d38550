"""Breaks what one engine sends, and nothing else, with errors that the server really has."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, event

from batch_assets.store.optimized import OptimizedQueries
from batch_assets.store.original import OriginalQueries
from batch_assets.store.protocol import Queries
from batch_assets.store.strategy import QueryMode, Strategy, Toggle, choose_queries

MISSING = "SELECT a.id FROM batch_assets.artefact_that_is_gone AS a"
SLOW = "SELECT pg_sleep(20)"
TIMEOUT_MS = 40
OPTIMIZED = Toggle(QueryMode.OPTIMIZED)


class Broken:
    """An engine that can be broken for a while; its statements may take `TIMEOUT_MS`."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.broken = 0
        """How often it was."""
        event.listen(engine, "connect", _shorten)

    def strategy(self, engine: Engine, toggle: Toggle | None = None) -> Strategy:
        """A strategy on `engine` whose optimized implementation runs on this one."""
        return Strategy(
            engine,
            toggle or OPTIMIZED,
            optimized=lambda _: choose_queries(self.engine, optimized=True),
        )

    @contextmanager
    def sending(self, instead: str, *, after: int = 0) -> Iterator[None]:
        """Send this instead of each statement but the first few."""
        sent = 0

        def swap(*arguments: Any) -> tuple[str, Any]:
            nonlocal sent
            sent += 1
            if sent <= after:
                return arguments[2], arguments[3]
            self.broken += 1
            return instead, {}

        event.listen(self.engine, "before_cursor_execute", swap, retval=True)
        yield
        event.remove(self.engine, "before_cursor_execute", swap)

    @contextmanager
    def refusing_commits(self) -> Iterator[None]:
        """Fail when all is done but the COMMIT; what has no transaction is not met by it."""

        def fail(connection: Connection) -> None:
            if not connection.connection.driver_connection.autocommit:  # type: ignore[union-attr] # psycopg's own
                self.broken += 1
                connection.exec_driver_sql(MISSING)

        event.listen(self.engine, "commit", fail)
        yield
        event.remove(self.engine, "commit", fail)


def made_of(kind: type[OptimizedQueries]) -> Callable[[Engine], Queries]:
    """How a kind of the optimized implementation is put on an engine."""
    return lambda engine: kind(engine, OriginalQueries(engine))


def _shorten(connection: Any, _entry: Any) -> None:
    connection.autocommit = True
    connection.execute(f"SET statement_timeout = {TIMEOUT_MS}")
    connection.autocommit = False
