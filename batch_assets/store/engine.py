"""The engine that the application's statements run on."""

from typing import Any, Final, cast

import psycopg
from sqlalchemy import URL, Connection, Dialect, Engine, NullPool, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from batch_assets.store.dialect import DRIVER
from batch_assets.store.moments import BoundedTimestamptzLoader
from batch_assets.store.session import SESSION, WITHOUT_LIMITS, login_options, settle_libpq
from batch_assets.store.troubles import explain
from batch_assets.store.urls import application_url

POOL_SIZE: Final = 5
POOL_WAIT_SECONDS: Final = 30
LOOK_SECONDS: Final = 10
"""How long one statement of a look at the database may take, and half of it to connect."""

_IN_TRANSACTION: Final = (
    "SELECT set_config(l.name, l.value, true)"
    " FROM unnest(%(names)s::text[], %(values)s::text[]) AS l (name, value)"
)
_REFUSED: Final = "unsupported startup parameter"
_HAS_SETTINGS: Final = "batch_assets.has_settings"


class _Session:
    """What a session is like and what it may take, in PostgreSQL's own words: given at login.

    A statement of ours that waits for a lock makes LiveDash's wait behind it, and a frozen process
    must not hold locks: both give up.
    """

    def __init__(self, *, lock: str, statement: str, read_only: bool = False) -> None:
        self._settings = {
            **SESSION,
            **WITHOUT_LIMITS,
            "lock_timeout": lock,
            "statement_timeout": statement,
            "idle_in_transaction_session_timeout": "300s",
            # The statements are short, and their estimated costs high: compiling takes longer.
            "jit": "off",
        }
        at_login = self._settings | ({"default_transaction_read_only": "on"} if read_only else {})
        self._at_login = login_options(at_login)

    def connect(
        self,
        dialect: Dialect,
        entry: ConnectionPoolEntry,
        args: list[Any],
        parameters: dict[str, Any],
    ) -> DBAPIConnection:
        """Log in with the settings, or without them where a pooler refuses settings at login."""
        settle_libpq()
        options = " ".join(filter(None, [parameters.get("options"), self._at_login]))
        try:
            connection: Any = dialect.connect(*args, **{**parameters, "options": options})
        except psycopg.OperationalError as error:
            if _REFUSED not in str(error):
                raise
            connection = dialect.connect(*args, **parameters)
            entry.info[_HAS_SETTINGS] = False
        else:
            entry.info[_HAS_SETTINGS] = True
        return cast("DBAPIConnection", connection)

    def begin(self, connection: Connection) -> None:
        """Behind a pooler a session is shared: they hold for a transaction, by a statement.

        What runs alone, in autocommit, has only those of libpq's variables there; it holds no
        locks beyond itself.
        """
        driver_connection: Any = connection.connection.driver_connection
        if not connection.info[_HAS_SETTINGS] and not driver_connection.autocommit:
            settings = {"names": list(self._settings), "values": list(self._settings.values())}
            connection.exec_driver_sql(_IN_TRANSACTION, settings)


_OF_A_RUN = _Session(lock="30s", statement="300s")
_OF_A_READING_RUN = _Session(lock="30s", statement="300s", read_only=True)
_OF_A_LOOK = _Session(lock=f"{LOOK_SECONDS}s", statement=f"{LOOK_SECONDS}s")
_OF_A_MIGRATION = _Session(lock="0", statement="0")


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


def open_plain_engine(url: str) -> Engine:
    """An engine for migrations and what prepares them: SQLAlchemy's own dialect, and no limits.

    It keeps no connection. A pooler that refuses settings at login gets none.
    """
    engine = create_engine(
        application_url(url),
        poolclass=NullPool,
        hide_parameters=True,
        connect_args={"prepare_threshold": None, "application_name": "batch-assets"},
    )
    event.listen(engine, "do_connect", _OF_A_MIGRATION.connect)
    return engine


def _engine(url: URL, session: _Session, **pool: Any) -> Engine:
    engine = create_engine(
        url.set(drivername=DRIVER),
        **pool,
        hide_parameters=True,
        # Prepared statements live in a session, which PgBouncer takes away after a transaction.
        connect_args={"prepare_threshold": None, "application_name": "batch-assets"},
    )
    event.listen(engine, "connect", _know_every_moment)
    event.listen(engine, "do_connect", session.connect)
    event.listen(engine, "begin", session.begin)
    event.listen(engine, "handle_error", explain, retval=True)
    return engine


def _know_every_moment(connection: psycopg.Connection[Any], _entry: ConnectionPoolEntry) -> None:
    connection.adapters.register_loader("timestamptz", BoundedTimestamptzLoader)
