"""The one connection that migrates: it suits, nobody else migrates, and it never blocks others.

The schema `batch_assets` itself is there before the first migration and after the last one.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, cast

import psycopg
from psycopg import sql
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from batch_assets.domain.errors import MigrationRefusedError
from batch_assets.store.connection_failures import database_unavailable
from batch_assets.store.migrating.project import Report, needed_revision
from batch_assets.store.plain_engine import open_plain_engine
from batch_assets.store.sql import load
from batch_assets.store.urls import application_url, describe

SQL = load(Path(__file__).with_suffix(".sql"))

OLDEST_SERVER: Final = 140000
ONE_AT_A_TIME: Final = 7_236_171_990_134
"""The advisory lock's key: any number that stays the same."""

NEEDED: Final = "For code that knows revision "
"""What the version table's comment begins with; the revision follows."""

_PATIENCE_SECONDS: Final = 900.0
_POLL_SECONDS: Final = 0.25
_PIN_TRIALS: Final = 3

# A statement of ours that waits for a lock makes LiveDash's statements wait behind it: it gives up
# first. An idle session is not ended while it waits for its turn. Nothing is found by a search
# path, since every name of ours says its schema.
_SAFE_SETTINGS: Final = text(
    "SELECT set_config('search_path', 'pg_catalog', false),"
    " set_config('lock_timeout', '3s', false),"
    " set_config('statement_timeout', '60s', false),"
    " set_config('idle_session_timeout', '0', false)"
)
_SERVER_VERSION = text("SELECT current_setting('server_version_num')::integer")
_BACKEND = text("SELECT pg_backend_pid()")
_TRY_LOCK = text("SELECT pg_try_advisory_lock(:key)")


@contextmanager
def migrating_connection(url: str, report: Report) -> Iterator[Connection]:
    """A connection that may migrate, alone; others wait for their turn up to 15 minutes.

    Raises:
        DatabaseUnavailableError: the database cannot be reached.
        MigrationRefusedError: the server or a pooler does not suit.
    """
    parsed = application_url(url)
    engine = open_plain_engine(url)
    try:
        connection = engine.connect()
    except DBAPIError as error:
        raise database_unavailable(error, parsed) from None
    with connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        refuse_old_server(connection.execute(_SERVER_VERSION).scalar_one())
        _refuse_pooler(connection, engine)
        connection.execute(_SAFE_SETTINGS)
        # SQLAlchemy then reflects the tables of `public` under their schema, as ours say it.
        connection.dialect.default_schema_name = "pg_catalog"
        _wait_for_turn(connection, report)
        connection.commit()
        connection.execution_options(isolation_level="READ COMMITTED")
        yield connection


def refuse_encoding(connection: Connection) -> None:
    """See that the database can hold every character.

    Raises:
        MigrationRefusedError: it cannot.
    """
    driver = cast("psycopg.Connection", connection.connection.driver_connection)
    encoding = driver.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise MigrationRefusedError(
            f"The {describe(connection.engine.url)} has the encoding {encoding}, which cannot hold "
            "every conversation: nothing was changed. Make a database with the encoding UTF8, and "
            "bring the data over with pg_dump."
        )


def refuse_old_server(version: int) -> None:
    """See that a `server_version_num` is that of PostgreSQL 14 or a newer one.

    Raises:
        MigrationRefusedError: it is an older one.
    """
    if version < OLDEST_SERVER:
        raise MigrationRefusedError(
            f"The server is PostgreSQL {version // 10000}, but 14 or newer is needed: "
            "upgrade the server."
        )


def _wait_for_turn(connection: Connection, report: Report) -> None:
    """Take the lock by asking again and again, never by waiting inside a statement.

    A statement that waits holds a snapshot, and CREATE INDEX CONCURRENTLY of the one whose turn
    it is would wait for that snapshot: the two would wait for each other.
    """
    gives_up_at = time.monotonic() + _PATIENCE_SECONDS
    told = False
    while not connection.execute(_TRY_LOCK, {"key": ONE_AT_A_TIME}).scalar_one():
        if time.monotonic() > gives_up_at:
            raise MigrationRefusedError(
                f"The {describe(connection.engine.url)} is still being migrated by someone else "
                "after 15 minutes: look for that session in pg_stat_activity, then try again."
            )
        if not told:
            report("another migration of this database is running: waiting for it to end")
            told = True
        time.sleep(_POLL_SECONDS)


def _refuse_pooler(connection: Connection, engine: Engine) -> None:
    """Refuse a pooler that gives each transaction another server session (PgBouncer's mode).

    Settings and the lock live in the server's session, so they would be lost there, or left to a
    stranger. Behind any pooler the process number that libpq was told at login is not that of the
    server's session. Then a second connection takes a session and keeps it in a transaction: a
    pooler in transaction mode hands it ours, or hands us another one after that.
    """
    driver = cast("psycopg.Connection", connection.connection.driver_connection)
    ours = connection.execute(_BACKEND).scalar_one()
    if driver.info.backend_pid == ours:
        return
    for _ in range(_PIN_TRIALS):
        with engine.connect() as other:
            theirs = other.execute(_BACKEND).scalar_one()
            if theirs == ours or connection.execute(_BACKEND).scalar_one() != ours:
                raise MigrationRefusedError(
                    f"The {describe(engine.url)} is behind a connection pooler in transaction "
                    "mode, which migrations cannot use: run them with DATABASE_URL set to the "
                    "server's own address (or to the pooler's port for session mode)."
                )


def say_who_may_use(connection: Connection, revision: str | None) -> None:
    """Say at the version table which revision code has to know to work with the tables.

    `batch_assets.store.migrate` reads it, in versions of the code that do not know `revision`.
    """
    known = None if revision is None else sql.Literal(f"{NEEDED}{needed_revision(revision)}")
    driver = cast("psycopg.Connection", connection.connection.driver_connection)
    statement = sql.SQL("COMMENT ON TABLE batch_assets.alembic_version IS {}").format(known)
    connection.exec_driver_sql(
        statement.as_string(driver), execution_options={"no_parameters": True}
    )


def make_own_schema(connection: Connection) -> None:
    """Make the schema, if need be: Alembic keeps its version table there."""
    connection.execute(SQL["make"])


def remove_own_schema_if_bare(connection: Connection) -> None:
    """Remove the schema if only an empty version table is left, so that no trace of us stays."""
    if connection.execute(SQL["has_more_than_version"]).scalar_one():
        return
    connection.execute(SQL["drop_version"])
    connection.execute(SQL["drop"])
