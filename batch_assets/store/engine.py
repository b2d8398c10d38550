"""The engine that the application's statements run on."""

from typing import Any, Final

import psycopg
from sqlalchemy import Connection, Dialect, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from batch_assets.store.dialect import DRIVER
from batch_assets.store.urls import application_url

POOL_SIZE: Final = 5
POOL_WAIT_SECONDS: Final = 30

# A statement of ours that waits for a lock makes LiveDash's wait behind it, and a frozen process
# must not hold locks: both give up.
_LIMITS: Final = {
    "lock_timeout": "30s",
    "statement_timeout": "300s",
    "idle_in_transaction_session_timeout": "300s",
    # The statements are short, and their estimated costs high: compiling them takes longer.
    "jit": "off",
}
_AT_LOGIN: Final = " ".join(f"-c {name}={value}" for name, value in _LIMITS.items())
_IN_TRANSACTION: Final = (
    "SELECT set_config(l.name, l.value, true)"
    " FROM unnest(%(names)s::text[], %(values)s::text[]) AS l (name, value)"
)
_READ_ONLY: Final = "-c default_transaction_read_only=on"
_REFUSED: Final = "unsupported startup parameter"
_HAS_LIMITS: Final = "batch_assets.has_limits"


def open_engine(url: str, *, read_only: bool = False) -> Engine:
    """An engine on a plain database URL; connects with the first statement, dispose of it.

    With `read_only` the server refuses to write; not where a pooler refuses settings at login.

    At most `2 * POOL_SIZE` connections at one time. Its errors name statements but never their
    parameters, which hold conversations. A connection that was lost while it lay in the pool is
    noticed by the statement that meets it: whoever runs it tries again.
    """
    engine = create_engine(
        application_url(url).set(drivername=DRIVER),
        pool_size=POOL_SIZE,
        max_overflow=POOL_SIZE,
        pool_timeout=POOL_WAIT_SECONDS,
        hide_parameters=True,
        # Prepared statements live in a session, which PgBouncer takes away after a transaction.
        connect_args={"prepare_threshold": None, "application_name": "batch-assets"},
    )
    event.listen(engine, "do_connect", _connect_read_only if read_only else _connect)
    event.listen(engine, "begin", _limit)
    return engine


def _connect_read_only(
    dialect: Dialect, entry: ConnectionPoolEntry, args: list[Any], parameters: dict[str, Any]
) -> DBAPIConnection:
    options = " ".join(filter(None, [parameters.get("options"), _READ_ONLY]))
    return _connect(dialect, entry, args, {**parameters, "options": options})


def _connect(
    dialect: Dialect, entry: ConnectionPoolEntry, args: list[Any], parameters: dict[str, Any]
) -> DBAPIConnection:
    """Log in with the limits, or without them where a pooler refuses settings at login."""
    options = " ".join(filter(None, [parameters.get("options"), _AT_LOGIN]))
    try:
        connection = dialect.connect(*args, **{**parameters, "options": options})
    except psycopg.OperationalError as error:
        if _REFUSED not in str(error):
            raise
        given = (parameters.get("options") or "").removesuffix(_READ_ONLY).strip()
        connection = dialect.connect(*args, **{**parameters, "options": given or None})
        entry.info[_HAS_LIMITS] = False
    else:
        entry.info[_HAS_LIMITS] = True
    return connection


def _limit(connection: Connection) -> None:
    """Behind a pooler a session is shared: limits are for one transaction, and by a statement.

    What runs alone, in autocommit, has none there; it holds no locks beyond itself.
    """
    driver_connection: Any = connection.connection.driver_connection
    if not connection.info[_HAS_LIMITS] and not driver_connection.autocommit:
        limits = {"names": list(_LIMITS), "values": list(_LIMITS.values())}
        connection.exec_driver_sql(_IN_TRANSACTION, limits)
