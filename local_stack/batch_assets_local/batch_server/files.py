"""Files: their bytes in the state directory, what is known of them in the database."""

import os
import sqlite3
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from batch_assets_local.batch_server.api_errors import not_found
from batch_assets_local.batch_server.config import ReloadableConfig
from batch_assets_local.batch_server.database import Database
from batch_assets_local.batch_server.identifiers import new_file_id

BLOCK_BYTES = 256 * 1024

_INSERT = """
INSERT INTO file (id, filename, purpose, bytes, created_at, expires_at)
VALUES (:id, :filename, :purpose, :bytes, :created_at, :expires_at)
"""
_ONE = """
SELECT id, filename, purpose, bytes, created_at, expires_at FROM file
WHERE id = :id AND deleted_at IS NULL AND coalesce(expires_at > :now, 1)
"""
_PAGE = """
SELECT id, filename, purpose, bytes, created_at, expires_at FROM file
WHERE deleted_at IS NULL AND coalesce(expires_at > :now, 1)
  AND (:purpose IS NULL OR purpose = :purpose)
  AND created_at <= :visible_before
  AND (:after IS NULL OR seq * :direction > :after * :direction)
ORDER BY seq * :direction LIMIT :limit
"""
_ALIVE = "SELECT id FROM file WHERE deleted_at IS NULL AND coalesce(expires_at > :now, 1)"

_COUNTS = """
SELECT purpose, count(*) AS files FROM file
WHERE deleted_at IS NULL AND coalesce(expires_at > :now, 1)
GROUP BY purpose ORDER BY purpose
"""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """What is known of one file; times in Unix seconds."""

    id: str
    filename: str
    purpose: str
    bytes: int
    created_at: float
    expires_at: float | None


class FileStore:
    """Keeps uploaded and produced files, and the private copies that running batches read."""

    def __init__(self, state_dir: Path, database: Database, config: ReloadableConfig) -> None:
        """Make the directories, and remove what an earlier process left half-done."""
        self._database = database
        self._config = config
        self._content, self.spool, self._inputs = (
            state_dir / name for name in ("files", "spool", "inputs")
        )
        for directory in (self._content, self.spool, self._inputs):
            directory.mkdir(mode=0o700, exist_ok=True)
        self.sweep()

    def sweep(self) -> None:
        """Remove spooled uploads, expired content and what a crash left without a row."""
        with self._database.reading() as connection:
            alive = {row["id"] for row in connection.execute(_ALIVE, {"now": self._config.now()})}
        for path in self.spool.iterdir():
            path.unlink()
        for path in self._content.iterdir():
            if path.name not in alive:
                path.unlink()

    def add(
        self, spooled: Path, *, filename: str, purpose: str, lifetime: int | None
    ) -> StoredFile:
        """Take a spooled file over and make it known."""
        file = self.place(spooled, filename=filename, purpose=purpose, lifetime=lifetime)
        with self._database.transaction() as connection:
            insert_file(connection, file)
        return file

    def place(
        self, spooled: Path, *, filename: str, purpose: str, lifetime: int | None
    ) -> StoredFile:
        """Put a spooled file where its bytes belong; it is unknown until `insert_file`."""
        now = self._config.now()
        file = StoredFile(
            id=new_file_id(),
            filename=filename,
            purpose=purpose,
            bytes=spooled.stat().st_size,
            created_at=now,
            expires_at=None if lifetime is None else now + lifetime,
        )
        spooled.rename(self.path(file.id))
        return file

    def is_gone(self, file_id: str) -> bool:
        """Whether the file was here once: it was deleted, or has expired."""
        with self._database.reading() as connection:
            row = connection.execute("SELECT 1 FROM file WHERE id = ?", (file_id,)).fetchone()
        return row is not None and self.find(file_id) is None

    def find(self, file_id: str) -> StoredFile | None:
        """The file, or None when it never was, was deleted or has expired."""
        with self._database.reading() as connection:
            row = connection.execute(_ONE, {"id": file_id, "now": self._config.now()}).fetchone()
        return None if row is None else StoredFile(**row)

    def require(self, file_id: str) -> StoredFile:
        """The file.

        Raises:
            ApiError: there is none: 404.
        """
        file = self.find(file_id)
        if file is None:
            raise not_found(f"No such File object: {file_id[:64]}")
        return file

    def is_processed(self, file: StoredFile) -> bool:
        """Whether the server has looked at an input file; a batch of it is refused before."""
        seconds = self._config.current.quirks.file_processing_seconds
        return file.purpose != "batch" or self._config.now() >= file.created_at + seconds

    def shown(self, file: StoredFile) -> dict[str, Any]:
        """The File object of the API."""
        return {
            "object": "file",
            "id": file.id,
            "purpose": file.purpose,
            "filename": file.filename,
            "bytes": file.bytes,
            "created_at": int(file.created_at),
            "expires_at": None if file.expires_at is None else int(file.expires_at),
            "status": "processed" if self.is_processed(file) else "pending",
            "status_details": None,
        }

    def page(
        self, *, purpose: str | None, limit: int, after: str | None, descending: bool
    ) -> tuple[list[StoredFile], bool]:
        """One page in the order of creation, and whether more follow.

        `after` may name a deleted file; a file that never was is a 404.
        """
        lag = self._config.current.quirks.file_list_lag_seconds
        now = self._config.now()
        with self._database.reading() as connection:
            rows = connection.execute(
                _PAGE,
                {
                    "now": now,
                    "purpose": purpose,
                    "visible_before": now - lag,
                    "after": None if after is None else self._position(after),
                    "direction": -1 if descending else 1,
                    "limit": limit + 1,
                },
            ).fetchall()
        files = [StoredFile(**row) for row in rows]
        return files[:limit], len(files) > limit

    def _position(self, file_id: str) -> int:
        with self._database.reading() as connection:
            row = connection.execute("SELECT seq FROM file WHERE id = ?", (file_id,)).fetchone()
        if row is None:
            raise not_found(f"No such File object: {file_id[:64]}", param="after")
        return int(row["seq"])

    def delete(self, file_id: str) -> None:
        """Remove a file for good; a batch that runs on it keeps its own copy."""
        self.require(file_id)
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE file SET deleted_at = ? WHERE id = ?", (self._config.now(), file_id)
            )
        self.path(file_id).unlink(missing_ok=True)

    def counts(self) -> dict[str, int]:
        """How many files there are, by purpose; deleted ones do not count."""
        with self._database.reading() as connection:
            rows = connection.execute(_COUNTS, {"now": self._config.now()}).fetchall()
        return {row["purpose"]: row["files"] for row in rows}

    def path(self, file_id: str) -> Path:
        """Where the bytes of a file are."""
        return self._content / file_id

    def input_path(self, batch_id: str) -> Path:
        """Where a batch's own copy of its input is while it runs."""
        return self._inputs / batch_id

    def keep_input(self, file_id: str, batch_id: str) -> None:
        """Give a new batch its own link to the input, so that deleting the file cannot stop it."""
        self.input_path(batch_id).hardlink_to(self.path(file_id))

    def drop_inputs(self, running: set[str]) -> None:
        """Remove the copies of batches that have ended."""
        for path in self._inputs.iterdir():
            if path.name not in running:
                path.unlink()


def insert_file(connection: sqlite3.Connection, file: StoredFile) -> None:
    """Make a placed file known, inside the caller's transaction."""
    connection.execute(_INSERT, asdict(file))


def create_private(path: Path) -> BinaryIO:
    """Open a new file for writing that only its owner may read."""
    return os.fdopen(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb")


def read_blocks(path: Path) -> Iterator[bytes]:
    """The bytes of a file, a quarter of a megabyte at a time."""
    with path.open("rb") as stream:
        while block := stream.read(BLOCK_BYTES):
            yield block
