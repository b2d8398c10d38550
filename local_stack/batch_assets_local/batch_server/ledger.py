"""The ledger: what OpenAI would have billed, one entry a request, written and read here.

`Ledger` reads the database file itself, so that a drill can check it after the server was killed.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal

from batch_assets_local.batch_server.database import read_only

_INSERT = """
INSERT INTO ledger (kind, created_at, model, prompt_tokens, cached_tokens, completion_tokens,
                    service_tier, custom_id, batch_id, input_file_id, metadata)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_AFTER = """
SELECT id, created_at, kind, custom_id, batch_id, input_file_id, model,
       prompt_tokens, cached_tokens, completion_tokens, service_tier, metadata
FROM ledger
WHERE id > :since_id
  AND (:kind IS NULL OR kind = :kind)
  AND (:batch_id IS NULL OR batch_id = :batch_id)
  AND (:custom_id IS NULL OR custom_id = :custom_id)
ORDER BY id LIMIT 1000
"""
_REPEATED = """
SELECT custom_id, count(*) AS times FROM ledger
WHERE custom_id IS NOT NULL GROUP BY custom_id HAVING count(*) > 1 ORDER BY custom_id
"""
_TOTALS = """
SELECT count(*) AS requests,
       count(*) FILTER (WHERE kind = 'live') AS live_requests,
       count(DISTINCT custom_id) AS distinct_custom_ids,
       coalesce(sum(prompt_tokens), 0) AS prompt_tokens,
       coalesce(sum(cached_tokens), 0) AS cached_tokens,
       coalesce(sum(completion_tokens), 0) AS completion_tokens
FROM ledger
"""


@dataclass(frozen=True, slots=True)
class Charge:
    """What is written for one billed request; a synchronous call has no batch.

    A synchronous call's `custom_id` is its X-Client-Request-Id, if it had one. `metadata` is the
    JSON text of the batch's metadata, or of the synchronous call's.
    """

    kind: Literal["batch", "live"]
    created_at: float
    model: str
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    service_tier: str | None = None
    custom_id: str | None = None
    batch_id: str | None = None
    input_file_id: str | None = None
    metadata: str | None = None


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One billed request as it stands in the ledger; ids ascend in the order of commits."""

    id: int
    created_at: float
    kind: Literal["batch", "live"]
    custom_id: str | None
    batch_id: str | None
    input_file_id: str | None
    model: str
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    service_tier: str | None
    """The one that a synchronous call was answered by."""
    metadata: dict[str, str] | None

    def as_json(self) -> dict[str, Any]:
        """The line that `GET /_local/ledger` shows."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class LedgerTotals:
    """Sums over the whole ledger."""

    requests: int
    live_requests: int
    distinct_custom_ids: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int


def append(connection: sqlite3.Connection, charges: Iterable[Charge]) -> None:
    """Write charges inside the caller's transaction."""
    connection.executemany(_INSERT, map(_values, charges))


# The fields of a charge are declared in the order of the columns in _INSERT.
_values = attrgetter(*(field.name for field in fields(Charge)))


class Ledger:
    """Reads the ledger of a state directory, whether its server runs or is dead."""

    def __init__(self, state_dir: Path) -> None:
        """Name the state directory; each call opens and closes a connection of its own."""
        self._state_dir = state_dir

    def entries(
        self,
        *,
        since_id: int = 0,
        kind: str | None = None,
        batch_id: str | None = None,
        custom_id: str | None = None,
    ) -> Iterator[LedgerEntry]:
        """The entries after `since_id` in the order of their commits, read a thousand at a time."""
        wanted = {"kind": kind, "batch_id": batch_id, "custom_id": custom_id}
        position = since_id
        while rows := self._read(_AFTER, wanted | {"since_id": position}):
            for row in rows:
                metadata = row["metadata"]
                decoded = None if metadata is None else json.loads(metadata)
                yield LedgerEntry(**(dict(row) | {"metadata": decoded}))
            position = rows[-1]["id"]

    def repeated(self) -> dict[str, int]:
        """The custom_ids that were billed more than once, and how often."""
        return {row["custom_id"]: row["times"] for row in self._read(_REPEATED, {})}

    def totals(self) -> LedgerTotals:
        """How much was billed altogether."""
        (row,) = self._read(_TOTALS, {})
        return LedgerTotals(**row)

    def _read(self, query: str, parameters: dict[str, Any]) -> list[sqlite3.Row]:
        with read_only(self._state_dir) as connection:
            return connection.execute(query, parameters).fetchall()
