"""Fills a database: companies, a history of finished requests, and waves of waiting ones.

Every row follows from the seed and its number, so that two databases of a size are the same.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine

from batch_assets.store.registry import Registry
from batch_assets.store.sql import load
from benchmarks.comparison import phrases
from benchmarks.comparison.sizes import MODEL, Size

SEED: Final = "benchmark"
BATCH_SIZE: Final = 40
"""Requests of each batch of the history."""

_SQL = load(Path(__file__).with_suffix(".sql"))
_INDEXES = load(Path(__file__).with_name("indexes.sql"))

_BASE = ("companies", "model", "price")
_HISTORY = (
    "history_batches",
    "history_own_batches",
    "history_sessions",
    "history_requests",
    "history_attempts",
)
_WAVE = ("sessions", "messages", "requests")


def seed(engine: Engine, size: Size) -> None:
    """Fill a migrated database that is empty: the history and the first wave. As a superuser."""
    with engine.begin() as connection, _without_indexes(connection):
        parameters = _parameters(size, wave=1)
        _run(connection, _BASE, parameters)
        if size.history:
            _run(connection, _HISTORY, parameters)
        _run(connection, _WAVE, parameters)
    _tidy(engine)


def add_wave(engine: Engine, size: Size, wave: int) -> None:
    """Let as many requests wait as in the first wave, of other sessions. As a superuser."""
    with engine.begin() as connection:
        connection.execute(_INDEXES["without_checks"])
        _run(connection, _WAVE, _parameters(size, wave))
    _tidy(engine)


def know_own_name(engine: Engine) -> None:
    """Make a clone an installation of its own name, and the only one, so that it may submit."""
    with engine.begin() as connection:
        connection.execute(_SQL["know_own_name"])
    registry = Registry(engine, external_quiet_seconds=0)
    registry.know_incarnation(registry.installation().incarnation)


@contextmanager
def _without_indexes(connection: Connection) -> Iterator[None]:
    """Make indexes after the rows, which takes a third of the time."""
    connection.execute(_INDEXES["without_checks"])
    dropped = connection.execute(_INDEXES["definitions"]).all()
    for index in dropped:
        connection.exec_driver_sql(f"DROP INDEX {index.name}")
    yield
    connection.execute(_INDEXES["with_memory"])
    for index in dropped:
        connection.exec_driver_sql(index.definition)


def _run(connection: Connection, names: tuple[str, ...], parameters: Mapping[str, object]) -> None:
    for name in names:
        connection.execute(_SQL[name], parameters)


def _tidy(engine: Engine) -> None:
    """What autovacuum would do a minute later."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM ANALYZE")


def _parameters(size: Size, wave: int) -> dict[str, object]:
    return {
        "seed": SEED,
        "wave": wave,
        "companies": size.companies,
        "rows": size.waiting,
        "messages": size.messages,
        "history": size.history,
        "batches": -(-size.history // BATCH_SIZE),
        "batch_size": BATCH_SIZE,
        "model": MODEL,
        "questions": list(phrases.USER),
        "answers": list(phrases.BOT),
        "phrases": len(phrases.USER),
        "sentiments": list(phrases.SENTIMENTS),
        "categories": list(phrases.CATEGORIES),
        "kinds": len(phrases.CATEGORIES),
    }
