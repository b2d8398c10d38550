"""The engine that the application's statements run on."""

from typing import Final

from sqlalchemy import Connection, Engine, create_engine, event

from batch_assets.store.urls import application_url

POOL_SIZE: Final = 5
POOL_WAIT_SECONDS: Final = 30

# For one transaction only, by a statement: PgBouncer refuses settings at login and hands the
# session to another transaction afterwards. A statement of ours that waits for a lock makes
# LiveDash's wait behind it, and a frozen process must not hold locks: both give up.
_LIMITS: Final = (
    "SELECT set_config('lock_timeout', '30s', true),"
    " set_config('statement_timeout', '300s', true),"
    " set_config('idle_in_transaction_session_timeout', '300s', true)"
)


def open_engine(url: str) -> Engine:
    """An engine on a plain database URL; connects with the first statement, dispose of it.

    At most `2 * POOL_SIZE` connections at one time. Its errors name statements but never their
    parameters, which hold conversations.
    """
    engine = create_engine(
        application_url(url),
        pool_size=POOL_SIZE,
        max_overflow=POOL_SIZE,
        pool_timeout=POOL_WAIT_SECONDS,
        pool_pre_ping=True,
        hide_parameters=True,
        # Prepared statements live in a session, which PgBouncer takes away after a transaction.
        connect_args={"prepare_threshold": None, "application_name": "batch-assets"},
    )
    event.listen(engine, "begin", _limit)
    return engine


def _limit(connection: Connection) -> None:
    connection.exec_driver_sql(_LIMITS)
