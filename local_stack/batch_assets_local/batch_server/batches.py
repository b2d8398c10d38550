"""Batches in the database: creation, lists, and every move of their life, each guarded.

A move names the state that it expects and says whether it happened; whoever comes late changes
nothing.
"""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from batch_assets_local.batch_server import batch_sql, ledger
from batch_assets_local.batch_server.api_errors import ApiError, not_found
from batch_assets_local.batch_server.batch_record import BatchRecord
from batch_assets_local.batch_server.config import ReloadableConfig
from batch_assets_local.batch_server.database import Database
from batch_assets_local.batch_server.files import StoredFile, insert_file

_NEVER = 10 * 365 * 86_400
"""Seconds."""

Ending = Literal["completed", "expired", "cancelled"]


@dataclass(frozen=True, slots=True)
class NewBatch:
    """What a batch is created with; `fate` is a batch rule as JSON."""

    id: str
    input_file_id: str
    endpoint: str
    completion_window: str
    metadata: dict[str, str] | None
    output_expires_seconds: int | None
    fate: str | None


@dataclass(frozen=True, slots=True)
class Step:
    """How far one chunk of rows brought a batch: positions, counts and tokens."""

    to_offset: int
    to_line: int
    completed: int = 0
    failed: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0


@dataclass(frozen=True, slots=True)
class ResultLine:
    """One line for the output or the error file; `sort_key` is its place."""

    target: Literal["output", "error"]
    sort_key: int
    line: bytes


class BatchStore:
    """Reads and moves batches."""

    def __init__(self, database: Database, config: ReloadableConfig) -> None:
        """Work on the database, by the configuration's clock."""
        self._database = database
        self._config = config

    def add(self, batch: NewBatch) -> BatchRecord:
        """Create a batch; it is `validating` and due at once."""
        current = self._config.current
        window = current.timing.completion_window_seconds if current.played.expires else _NEVER
        metadata = None if batch.metadata is None else json.dumps(batch.metadata)
        values = asdict(batch) | {"metadata": metadata, "now": self._config.now(), "window": window}
        with self._database.transaction() as connection:
            connection.execute(batch_sql.INSERT, values)
        return self.require(batch.id)

    def find(self, batch_id: str) -> BatchRecord | None:
        """The batch, or None."""
        return self._one("SELECT * FROM batch WHERE id = ?", (batch_id,))

    def require(self, batch_id: str) -> BatchRecord:
        """The batch.

        Raises:
            ApiError: there is none: 404.
        """
        batch = self.find(batch_id)
        if batch is None:
            raise not_found(f"No batch found with id '{batch_id[:80]}'.", param=None)
        return batch

    def page(self, *, limit: int, after: str | None) -> tuple[list[BatchRecord], bool]:
        """One page, newest first as a rule, and whether more follow."""
        quirks = self._config.current.quirks
        values = {
            "visible_before": self._config.now() - quirks.batch_list_lag_seconds,
            "direction": 1 if quirks.lists.oldest_first else -1,
            "after": None if after is None else self.require(after).seq,
            "limit": limit + 1,
        }
        with self._database.reading() as connection:
            rows = connection.execute(batch_sql.PAGE, values).fetchall()
        batches = [BatchRecord.from_row(row) for row in rows]
        return batches[:limit], len(batches) > limit

    def created_since(self, time: float) -> int:
        """How many batches were created after that time."""
        return self._number("SELECT count(*) FROM batch WHERE created_at > ?", (time,))

    def enqueued_tokens(self, batch: BatchRecord) -> int:
        """The tokens that other validating or running batches hold of the batch's model."""
        return self._number(batch_sql.ENQUEUED, {"model": batch.model, "id": batch.id})

    def running_ids(self) -> set[str]:
        """The batches that have not ended."""
        with self._database.reading() as connection:
            rows = connection.execute("SELECT id FROM batch WHERE due_at IS NOT NULL").fetchall()
        return {row["id"] for row in rows}

    def next_due(self) -> BatchRecord | None:
        """The batch that has waited longest for the worker, due or not yet; None without any."""
        return self._one(
            "SELECT * FROM batch WHERE due_at IS NOT NULL ORDER BY due_at, seq LIMIT 1", ()
        )

    def look_again(self, batch: BatchRecord, due_at: float) -> None:
        """Have the worker come back to a batch later; a move made meanwhile is not put off."""
        self._move(
            "UPDATE batch SET due_at = :later WHERE id = :id AND due_at IS :due_at",
            {"later": due_at, "id": batch.id, "due_at": batch.due_at},
        )

    def wake_all(self) -> None:
        """Make every running batch due now: the timing has changed."""
        self._move(
            "UPDATE batch SET due_at = :now WHERE due_at IS NOT NULL", {"now": self._config.now()}
        )

    def record_scan(
        self,
        batch: BatchRecord,
        *,
        model: str | None,
        total: int,
        tokens: int,
        errors: Sequence[Any],
    ) -> None:
        """Keep what reading the input through has shown."""
        values = {
            "id": batch.id,
            "model": model,
            "total": total,
            "tokens": tokens,
            "errors": json.dumps(list(errors)) if errors else None,
            "now": self._config.now(),
        }
        self._move(batch_sql.SCANNED, values)

    def start(self, batch: BatchRecord) -> bool:
        """validating -> in_progress."""
        return self._move(batch_sql.START, {"id": batch.id, "now": self._config.now()})

    def fail(self, batch: BatchRecord, errors: str) -> bool:
        """To `failed`, with a JSON array of errors; results that ran are lost, charges stay."""
        with self._database.transaction() as connection:
            values = {"id": batch.id, "errors": errors, "now": self._config.now()}
            moved = connection.execute(batch_sql.FAIL, values).rowcount == 1
            if moved:
                connection.execute("DELETE FROM result WHERE batch_id = ?", (batch.id,))
        return moved

    def decide(self, batch: BatchRecord, ending: Ending) -> bool:
        """Settle that the batch will end early; rows that have not run will not run."""
        values = {"id": batch.id, "ending": ending, "now": self._config.now()}
        return self._move(batch_sql.DECIDE, values)

    def release(self, batch: BatchRecord) -> bool:
        """Let a batch go on as if no rule had struck it; False once it has ended."""
        statement = (
            "UPDATE batch SET fate = NULL, due_at = :now WHERE id = :id AND due_at IS NOT NULL"
        )
        return self._move(statement, {"id": batch.id, "now": self._config.now()})

    def cancel(self, batch_id: str) -> BatchRecord:
        """To `cancelling`; 409 once the batch is finalizing or has ended.

        A batch that is about to expire stays on that way.

        Raises:
            ApiError: it is finalizing or has ended: 409.
        """
        moved = self._move(batch_sql.CANCEL, {"id": batch_id, "now": self._config.now()})
        batch = self.require(batch_id)
        if not moved and batch.status not in {"validating", "in_progress", "cancelling"}:
            raise ApiError(409, f"Cannot cancel a batch with status '{batch.status}'.")
        return batch

    def advance(
        self,
        batch: BatchRecord,
        step: Step,
        *,
        due_at: float,
        lines: Sequence[ResultLine],
        charges: Sequence[ledger.Charge] = (),
    ) -> bool:
        """Commit a chunk: its result lines, its charges and the position, together or not at all.

        False, with nothing written, when the batch was moved meanwhile.
        """
        values = asdict(step) | {
            "id": batch.id,
            "from_offset": batch.next_offset,
            "status": batch.status,
            "ending": batch.ending,
            "due_at": due_at,
        }
        with self._database.transaction() as connection:
            if connection.execute(batch_sql.ADVANCE, values).rowcount != 1:
                return False
            connection.executemany(
                "INSERT INTO result (batch_id, target, sort_key, line) VALUES (?, ?, ?, ?)",
                ((batch.id, line.target, line.sort_key, line.line) for line in lines),
            )
            ledger.append(connection, charges)
        return True

    def finalize(self, batch: BatchRecord) -> bool:
        """in_progress -> finalizing, once every row has run."""
        return self._move(batch_sql.FINALIZE, {"id": batch.id, "now": self._config.now()})

    def finish(self, batch: BatchRecord, files: Mapping[str, StoredFile]) -> bool:
        """To the end that was decided, with its files under `output` and `error`.

        Files, end and the removal of the result lines are one transaction; False, with nothing
        written, when the batch was moved meanwhile.
        """
        output, error = files.get("output"), files.get("error")
        values = {
            "id": batch.id,
            "status": batch.status,
            "ending": batch.ending,
            "output_file_id": output and output.id,
            "error_file_id": error and error.id,
            "now": self._config.now(),
        }
        with self._database.transaction() as connection:
            if connection.execute(batch_sql.FINISH, values).rowcount != 1:
                return False
            for file in files.values():
                insert_file(connection, file)
            connection.execute("DELETE FROM result WHERE batch_id = ?", (batch.id,))
        return True

    def result_lines(self, batch_id: str, target: str, after: int | None) -> list[sqlite3.Row]:
        """Up to 500 (rowid, sort_key, line) in the file's order, from after a sort key."""
        with self._database.reading() as connection:
            return connection.execute(
                """
                SELECT sort_key, line FROM result
                WHERE batch_id = ? AND target = ? AND sort_key > coalesce(?, -9223372036854775808)
                ORDER BY sort_key LIMIT 500
                """,
                (batch_id, target, after),
            ).fetchall()

    def counts(self) -> dict[str, int]:
        """How many batches there are, by status."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT status, count(*) AS batches FROM batch GROUP BY status ORDER BY status"
            ).fetchall()
        return {row["status"]: row["batches"] for row in rows}

    def _one(self, query: str, values: tuple[Any, ...]) -> BatchRecord | None:
        with self._database.reading() as connection:
            row = connection.execute(query, values).fetchone()
        return None if row is None else BatchRecord.from_row(row)

    def _number(self, query: str, values: Any) -> int:
        with self._database.reading() as connection:
            (number,) = connection.execute(query, values).fetchone()
        return int(number)

    def _move(self, statement: str, values: dict[str, Any]) -> bool:
        with self._database.transaction() as connection:
            return connection.execute(statement, values).rowcount == 1
