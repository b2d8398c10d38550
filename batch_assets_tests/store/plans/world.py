"""A LiveDash of some age: a million finished requests, 20,000 dead letters, and 400,000 that wait.

500 companies have 600 requests each in the backlog; older than all of these are 100,000 of a
company that is suspended. It is made in half a minute because indexes are built after the rows, and
because nobody checks foreign keys of rows that are made here.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sqlalchemy import Connection, Engine, TextClause, text

from batch_assets.store.sql import load

SUSPENDED = 100_000
BACKLOG = 300_000
COMPANIES = [f"c{number:03}" for number in range(500)]

SQL = load(Path(__file__).with_suffix(".sql"))
HISTORY = load(Path(__file__).with_name("history.sql"))

_LARGE = (
    'public."AIProcessingRequest"',
    'public."Session"',
    'public."SessionProcessingStatus"',
    'public."Message"',
    "batch_assets.attempt",
    "batch_assets.intake",
)
_MOVING = ("batch_assets.dead_letter", "batch_assets.retry")
_HISTORY = (
    "companies",
    "history_of_sessions",
    "history_of_requests",
    "history_of_livedash_batches",
    "history_of_batches",
    "history_of_attempts",
    "history_of_dead_letters",
    "waiting_sessions",
    "statuses_of_sessions",
    "messages",
)
_WAITING = ("waiting_at_the_head", "backlog")


def make_world(engine: Engine) -> None:
    """Fill an empty database; its statistics are of the moment before anything waited."""
    _fill(engine, [SQL[name] for name in _HISTORY], [SQL[name] for name in _WAITING])


def make_history(engine: Engine) -> None:
    """Fill an empty database with what LiveDash has answered before there was a status for it."""
    _fill(engine, list(HISTORY.values()), [])


def _fill(engine: Engine, before: Sequence[TextClause], after: Sequence[TextClause]) -> None:
    """Make rows, the second ones when the statistics are taken, and then the indexes."""
    with engine.begin() as connection:
        _speed_up(connection)
        indexes = connection.execute(SQL["indexes"], {"tables": list(_LARGE)}).all()
        for table in (*_LARGE, *_MOVING):
            # Else the statistics of a test would depend on how long it takes.
            _run(connection, f"ALTER TABLE {table} SET (autovacuum_enabled = false)")
        for index in indexes:
            _run(connection, f"DROP INDEX {index.name}")
        for statement in before:
            connection.execute(statement)
        _run(connection, "ANALYZE")
        for statement in after:
            connection.execute(statement)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda index: _build(engine, index.definition), indexes))


def _speed_up(connection: Connection) -> None:
    _run(connection, "SET LOCAL session_replication_role = replica")
    _run(connection, "SET LOCAL synchronous_commit = off")


def _build(engine: Engine, definition: str) -> None:
    with engine.begin() as connection:
        _run(connection, "SET LOCAL maintenance_work_mem = '256MB'")
        _run(connection, definition)


def _run(connection: Connection, statement: str) -> None:
    connection.exec_driver_sql(statement)


def forget_statements(engine: Engine) -> None:
    """Let pg_stat_statements count this database's from here on.

    A sum from before is none to subtract: the server forgets some of what it has summed up.
    """
    with engine.begin() as connection:
        connection.execute(
            text(
                "SELECT public.pg_stat_statements_reset(0, d.oid, 0)"
                " FROM pg_catalog.pg_database AS d WHERE d.datname = current_database()"
            )
        )
