"""The engine that the application's statements run on."""

from datetime import UTC, datetime
from typing import Any, Final

import psycopg
from psycopg.abc import Buffer
from psycopg.types.array import ListDumper
from psycopg.types.datetime import TimestamptzLoader
from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.pool import ConnectionPoolEntry

from batch_assets.store.database_errors import explain
from batch_assets.store.plain_engine import ISOLATION, NAME, Login
from batch_assets.store.urls import application_url

DRIVER: Final = "postgresql+psycopg_quiet"
POOL_SIZE: Final = 5
POOL_WAIT_SECONDS: Final = 30
LOOK_SECONDS: Final = 10
"""How long one statement of a look at the database may take, and half of it to connect."""

_OF_A_RUN = Login(lock="30s", statement="300s")
_OF_A_READING_RUN = Login(lock="30s", statement="300s", read_only=True)
_OF_A_LOOK = Login(lock=f"{LOOK_SECONDS}s", statement=f"{LOOK_SECONDS}s")


def open_engine(url: str, *, read_only: bool = False) -> Engine:
    """An engine on a plain database URL; connects with the first statement, dispose of it.

    With `read_only` the server refuses to write; not where a pooler refuses settings at login.

    At most `2 * POOL_SIZE` connections at one time. Its errors name statements but never their
    parameters, which hold conversations. A connection that was lost while it lay in the pool is
    noticed by the statement that meets it: whoever runs it tries again.
    """
    return _engine(
        application_url(url),
        _OF_A_READING_RUN if read_only else _OF_A_RUN,
        pool_size=POOL_SIZE,
        max_overflow=POOL_SIZE,
        pool_timeout=POOL_WAIT_SECONDS,
    )


def open_engine_for_looks(url: str) -> Engine:
    """An engine for a look now and then, from which little is asked and which waits for little.

    It keeps no connection: each is closed after its use. What does not answer within
    `LOOK_SECONDS` fails.
    """
    patience = {"connect_timeout": str(LOOK_SECONDS // 2)}
    return _engine(application_url(url).update_query_dict(patience), _OF_A_LOOK, poolclass=NullPool)


def _engine(url: URL, session: Login, **pool: Any) -> Engine:
    engine = create_engine(
        url.set(drivername=DRIVER),
        **pool,
        isolation_level=ISOLATION,
        hide_parameters=True,
        # Prepared statements live in a session, which PgBouncer takes away after a transaction.
        connect_args={"prepare_threshold": None, "application_name": NAME},
    )
    event.listen(engine, "connect", _adapt)
    event.listen(engine, "do_connect", session.connect)
    event.listen(engine, "begin", session.begin)
    event.listen(engine, "handle_error", explain, retval=True)
    return engine


def _adapt(connection: psycopg.Connection[Any], _entry: ConnectionPoolEntry) -> None:
    connection.adapters.register_loader("timestamptz", BoundedTimestamptzLoader)
    connection.adapters.register_dumper(list, TextsDumper)


class QuietDialect(PGDialect_psycopg):
    """SQLAlchemy's psycopg dialect, without the questions that it asks a server at first.

    For the application's own statements, which are all written out; not for reflection.

    Its own `initialize()` sends nine statements in each process that opens an engine (`test_engine`
    counts them), where an idle run has ten in all. Opening then takes twice as long: 55 ms where it
    took 28, and 3.5 ms of CPU where it took 1.8, on a machine that was busy with other things. With
    several processes a run, or a server some milliseconds away, that is most of what an idle run
    takes. What the questions are about is known: names are qualified, no type of an extension is
    used, and psycopg has the server's version from the login.
    """

    supports_statement_cache = True

    def initialize(self, connection: Connection) -> None:
        """Take from the login what the statements would ask for."""
        driver_connection: Any = connection.connection.driver_connection
        version = driver_connection.info.server_version
        self.server_version_info = (version // 10_000, version % 10_000)
        self.default_schema_name = "public"
        self.default_isolation_level = "READ COMMITTED"


registry.register(DRIVER.replace("+", "."), __name__, QuietDialect.__name__)


FIRST: Final = datetime.min.replace(tzinfo=UTC)
LAST: Final = datetime.max.replace(tzinfo=UTC)


class TextsDumper(ListDumper):
    """Writes a list of texts at once: psycopg's own looks at each, which is most of what ids cost.

    What holds a quote, a backslash or a NUL, and a list of anything else, is left to that one.
    """

    def dump(self, obj: list[Any]) -> Buffer | None:
        """The array's text in UTF-8, which all connections are held to.

        Raises:
            psycopg.DataError: A text holds a NUL, or the list is none that an array can be of.
            UnicodeEncodeError: A text holds half of a surrogate pair.
        """
        try:
            joined = '","'.join(obj)
        except TypeError:
            return super().dump(obj)
        has_quotes = joined.count('"') != 2 * (len(obj) - 1)
        if not obj or has_quotes or "\\" in joined or "\0" in joined:
            return super().dump(obj)
        return f'{{"{joined}"}}'.encode()


class BoundedTimestamptzLoader(TimestamptzLoader):
    """Reads any `timestamptz`: one moment of one row must not fail a statement over all of them.

    What is infinite, before the year 1 or after 9999 is the first or the last moment that there is,
    so that an order stays as it was. Whoever decides by such a moment asks in SQL.
    """

    def load(self, data: Buffer) -> datetime:
        """The moment, in the session's time zone, or a bound in UTC."""
        try:
            return super().load(data)
        except psycopg.DataError:
            text = bytes(data)
            return FIRST if text.startswith(b"-") or text.endswith(b"BC") else LAST
