"""Counts the statements that really go over the wire, for whoever caused them.

They are counted where they are sent, in psycopg's cursors. SQLAlchemy's events know nothing of a
COPY, of the fetches of a server-side cursor, or of the BEGIN that psycopg sends by itself before
the first statement of a transaction: of eight statements of such a transaction they see two
(`test_counting`), and budgets, choices and metrics that go by statements would be wrong by as much.
Counting takes no time that could be measured beside a statement. What is counted is what the server
is asked for: a statement that fails is one, too, although pg_stat_statements leaves it out.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Self

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import Row
from sqlalchemy import Connection, Engine, event


class Tally:
    """A number of statements that grows while they are sent."""

    def __init__(self) -> None:
        self.statements = 0


_everything = Tally()


def statements_sent() -> int:
    """How many statements this process has sent on engines that count."""
    return _everything.statements


_tally: ContextVar[Tally | None] = ContextVar("tally", default=None)


@contextmanager
def counted_into(tally: Tally) -> Iterator[None]:
    """Count what this thread sends within the context, on engines that count, into `tally`.

    Of contexts within each other the innermost counts.
    """
    token = _tally.set(tally)
    try:
        yield
    finally:
        _tally.reset(token)


def count_statements(engine: Engine) -> None:
    """Let an engine count from its next connection or checkout on; again makes no difference.

    A COPY through the driver's own cursor is among them; `Cursor.stream` is not.
    """
    if not event.contains(engine, "engine_connect", _count_on):
        event.listen(engine, "engine_connect", _count_on)
        event.listen(engine, "commit", _count_end)
        event.listen(engine, "rollback", _count_end)


class CountingCursor(psycopg.Cursor[Row]):
    """Counts each statement, and the BEGIN before it if it opens a transaction."""

    def execute(self, *args: Any, **kwargs: Any) -> Self:
        """See `psycopg.Cursor.execute`."""
        _count(self.connection)
        return super().execute(*args, **kwargs)

    def executemany(self, query: Any, params_seq: Any, **kwargs: Any) -> None:
        """See `psycopg.Cursor.executemany`: one statement for each set of parameters."""
        sets = list(params_seq)
        if sets:
            _count(self.connection, len(sets))
        super().executemany(query, sets, **kwargs)

    @contextmanager
    def copy(self, *args: Any, **kwargs: Any) -> Iterator[psycopg.Copy]:
        """See `psycopg.Cursor.copy`: one statement, whatever goes through it."""
        _count(self.connection)
        with super().copy(*args, **kwargs) as copy:
            yield copy


class CountingServerCursor(psycopg.ServerCursor[Row]):
    """Counts DECLARE, each FETCH and CLOSE."""

    def execute(self, *args: Any, **kwargs: Any) -> Self:
        """See `psycopg.ServerCursor.execute`."""
        with self._sending():
            return super().execute(*args, **kwargs)

    def fetchone(self) -> Row | None:
        """See `psycopg.ServerCursor.fetchone`."""
        with self._sending():
            return super().fetchone()

    def fetchmany(self, size: int = 0) -> list[Row]:
        """See `psycopg.ServerCursor.fetchmany`."""
        with self._sending():
            return super().fetchmany(size)

    def fetchall(self) -> list[Row]:
        """See `psycopg.ServerCursor.fetchall`."""
        with self._sending():
            return super().fetchall()

    def close(self) -> None:
        """See `psycopg.ServerCursor.close`: nothing is sent once the transaction is over."""
        if not self.closed and _status(self.connection) == TransactionStatus.INTRANS:
            _count(self.connection)
        super().close()

    @contextmanager
    def _sending(self) -> Iterator[None]:
        _count(self.connection)
        try:
            yield
        finally:
            # SQLAlchemy leaves the cursor of a lost connection open, and psycopg complains of it.
            if self.connection.closed:
                super().close()


def _count_on(connection: Connection) -> None:
    driver_connection: Any = connection.connection.driver_connection
    driver_connection.cursor_factory = CountingCursor
    driver_connection.server_cursor_factory = CountingServerCursor


def _count_end(connection: Connection) -> None:
    """COMMIT and ROLLBACK are sent if a transaction is open, which it never is in autocommit."""
    if connection.invalidated:
        return
    driver_connection: Any = connection.connection.driver_connection
    if _status(driver_connection) in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
        _add(1)


def _count(connection: psycopg.Connection[Any], statements: int = 1) -> None:
    opens = not connection.autocommit and _status(connection) == TransactionStatus.IDLE
    _add(statements + int(opens))


def _status(connection: psycopg.Connection[Any]) -> TransactionStatus:
    return connection.info.transaction_status


def _add(statements: int) -> None:
    _everything.statements += statements
    tally = _tally.get()
    if tally is not None:
        tally.statements += statements
