"""How every engine logs in, and the plain one: for migrations, and for looks at the catalog."""

from collections.abc import Iterable
from typing import Any, Final, cast

import psycopg
from sqlalchemy import URL, Connection, Dialect, Engine, NullPool, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from batch_assets.store.connection_settings import (
    SERVER_KEEPALIVES,
    SESSION,
    TRANSACTION_TIMEOUT_SINCE,
    WITHOUT_LIMITS,
    WITHOUT_TRANSACTION_TIMEOUT,
    login_options,
    settle_libpq,
)
from batch_assets.store.urls import application_url

_IN_TRANSACTION: Final = (
    "SELECT set_config(l.name, l.value, true)"
    " FROM unnest(%(names)s::text[], %(values)s::text[]) AS l (name, value)"
)
_REFUSED: Final = "unsupported startup parameter"
_UNKNOWN: Final = "unrecognized configuration parameter"
_HAS_SETTINGS: Final = "batch_assets.has_settings"
NAME: Final = "batch-assets"
"""As what our sessions are known in `pg_stat_activity`."""
_POOLED_NAME: Final = f"{NAME} by a pooler"
ISOLATION: Final = "READ COMMITTED"
"""Each transaction says so as it begins. With a snapshot that is older than the lock that it has
waited for, a claim would not see what the one before it has spent."""
_RECENT: Final[set[str]] = set()
"""The addresses at which this process has met a server that has `transaction_timeout`."""


class Login:
    """What a session is like and what it may take, in PostgreSQL's own words: given at login.

    A statement of ours that waits for a lock makes LiveDash's wait behind it, and a frozen process
    must not hold locks: both give up.
    """

    def __init__(self, *, lock: str, statement: str, read_only: bool = False) -> None:
        self._settings = {
            **SESSION,
            **WITHOUT_LIMITS,
            **SERVER_KEEPALIVES,
            "lock_timeout": lock,
            "statement_timeout": statement,
            "idle_in_transaction_session_timeout": "300s",
            # The statements are short, and their estimated costs high: compiling takes longer.
            "jit": "off",
        }
        self._is_read_only = read_only
        at_login = self._settings | ({"default_transaction_read_only": "on"} if read_only else {})
        self._at_login = login_options({**at_login, "application_name": NAME})

    def connect(
        self,
        dialect: Dialect,
        entry: ConnectionPoolEntry,
        args: list[Any],
        parameters: dict[str, Any],
    ) -> DBAPIConnection:
        """Log in with the settings, or without them where a pooler refuses or drops them."""
        settle_libpq()
        connection = self._with_settings(dialect, args, parameters)
        entry.info[_HAS_SETTINGS] = connection is not None
        if connection is None:
            pooled = {**parameters, "application_name": _POOLED_NAME}
            connection = dialect.connect(*args, **pooled)
            # Within a transaction it is too late for that: it says so as it begins.
            connection.read_only = self._is_read_only
        return cast("DBAPIConnection", connection)

    def _with_settings(self, dialect: Dialect, args: list[Any], parameters: dict[str, Any]) -> Any:
        """A session with the settings, or `None` where a pooler stands before the server.

        One that drops settings without a word (PgBouncer's `ignore_startup_parameters = options`)
        is known by the session's name: it is given among them and nowhere else, and each server
        says at login what it is.
        """
        try:
            connection = self._log_in(dialect, args, parameters)
        except psycopg.OperationalError as error:
            if _REFUSED not in str(error):
                raise
            return None
        if connection.info.parameter_status("application_name") == NAME:
            return connection
        connection.close()
        return None

    def _log_in(self, dialect: Dialect, args: list[Any], parameters: dict[str, Any]) -> Any:
        """Which server has `transaction_timeout` is known once one was met: then it logs in anew.

        A statement would do it as well, but in each session.
        """
        address = str([parameters.get("host"), parameters.get("port")])
        options = _joined([parameters.get("options"), self._at_login])
        # An empty name is not sent, and libpq's variable for it does not count either.
        given = {**parameters, "application_name": "", "options": options}
        if address not in _RECENT:
            connection: Any = dialect.connect(*args, **given)
            if connection.info.server_version < TRANSACTION_TIMEOUT_SINCE:
                return connection
            connection.close()
            _RECENT.add(address)
        recent = _joined([options, login_options(WITHOUT_TRANSACTION_TIMEOUT)])
        try:
            return dialect.connect(*args, **{**given, "options": recent})
        except psycopg.OperationalError as error:
            if _UNKNOWN not in str(error):
                raise
        _RECENT.discard(address)
        return dialect.connect(*args, **given)

    def begin(self, connection: Connection) -> None:
        """Behind a pooler a session is shared: they hold for a transaction, by a statement.

        What runs alone, in autocommit, has only those of libpq's variables there; it holds no
        locks beyond itself.
        """
        driver_connection: Any = connection.connection.driver_connection
        if not connection.info[_HAS_SETTINGS] and not driver_connection.autocommit:
            is_recent = driver_connection.info.server_version >= TRANSACTION_TIMEOUT_SINCE
            settings = {**self._settings, **(WITHOUT_TRANSACTION_TIMEOUT if is_recent else {})}
            given = {"names": list(settings), "values": list(settings.values())}
            connection.exec_driver_sql(_IN_TRANSACTION, given)


_OF_A_MIGRATION = Login(lock="0", statement="0")
_OF_THE_CATALOG = Login(lock="10s", statement="10s")


def open_plain_engine(url: str) -> Engine:
    """An engine for migrations and what prepares them: SQLAlchemy's own dialect, and no limits.

    It keeps no connection. A pooler that refuses settings at login gets none.
    """
    return _plain(application_url(url), _OF_A_MIGRATION)


def open_engine_for_the_catalog(url: URL) -> Engine:
    """Another engine on the database of one that has met an error: what does it lack?

    It keeps no connection, and what does not answer within seconds fails.
    """
    return _plain(url.set(drivername="postgresql+psycopg"), _OF_THE_CATALOG)


def _joined(options: Iterable[str | None]) -> str:
    return " ".join(filter(None, options))


def _plain(url: URL, login: Login) -> Engine:
    engine = create_engine(
        url,
        poolclass=NullPool,
        isolation_level=ISOLATION,
        hide_parameters=True,
        connect_args={"prepare_threshold": None, "application_name": NAME},
    )
    event.listen(engine, "do_connect", login.connect)
    return engine
