"""The server's SQLite database: one connection, one lock, transactions that hold or vanish.

WAL with `synchronous=NORMAL`: what was committed survives the death of the process at any
instruction (not a power cut, which a local server need not survive).
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

from batch_assets.domain.errors import LocalStackError

DATABASE_NAME = "state.sqlite3"
_SCHEMA_VERSION = 2
_FROM_1 = """
BEGIN;
ALTER TABLE ledger ADD COLUMN service_tier TEXT;
PRAGMA user_version = 2;
COMMIT;
"""


class Database:
    """The writer's side. Threads share it; each transaction has it for itself."""

    def __init__(self, state_dir: Path) -> None:
        """Open the database in the state directory, and make its tables if it is new."""
        self._lock = threading.RLock()
        path = state_dir / DATABASE_NAME
        path.touch(mode=0o600)
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._prepare(state_dir)

    def _prepare(self, state_dir: Path) -> None:
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        if version == 0:
            schema = files(__package__).joinpath("schema.sql").read_text(encoding="utf-8")
            self._connection.executescript(schema)
        elif version == 1:
            self._connection.executescript(_FROM_1)
        elif version != _SCHEMA_VERSION:
            self.close()
            raise LocalStackError(
                f"The state in {state_dir} was written by another version of the local server; "
                "name another state directory, or delete this one."
            )

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Everything inside is committed together, or nothing of it is."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """For reads outside a transaction; fetch what is needed before leaving."""
        with self._lock:
            yield self._connection

    def close(self) -> None:
        """Close the connection; SQLite then folds the write-ahead log into the database."""
        with self._lock:
            self._connection.close()


@contextmanager
def read_only(state_dir: Path) -> Iterator[sqlite3.Connection]:
    """A connection of one's own that can only read, beside a running server or after its death."""
    connection = sqlite3.connect(
        f"{(state_dir / DATABASE_NAME).resolve().as_uri()}?mode=ro", uri=True
    )
    connection.row_factory = sqlite3.Row
    try:
        yield connection
    finally:
        connection.close()
