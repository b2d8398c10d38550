"""Batches whose input file the server still processes: no creation was called for them yet.

This state is ours alone and has one implementation. While a batch is in it, recovery leaves it
alone: there is nothing to be looked up.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from batch_assets.domain.batches import ClaimedBatch
from batch_assets.domain.records import Lease
from batch_assets.store.base import EngineQueries, columns_of
from batch_assets.store.lost_connections import retry_lost
from batch_assets.store.protocol import Holder
from batch_assets.store.sql import load

SQL = load(Path(__file__).with_suffix(".sql"))


@dataclass(frozen=True, slots=True)
class PendingFile:
    """A batch that goes on with its creation once its file is processed; its lease is ours."""

    batch: ClaimedBatch
    input_file_id: str
    since: datetime
    """When it was first put off."""
    seconds: float
    """How long ago that is, on the database's clock."""


@dataclass(frozen=True)
class PendingFiles(EngineQueries):
    """Puts batches off until their files are processed, and takes them up again."""

    @retry_lost
    def put_off(self, batches: Sequence[tuple[Lease, datetime | None]]) -> None:
        """Give these leases up, each with the moment since which its file is waited for.

        Without one that is now. One statement; a lease that was lost changes nothing.
        """
        leases = columns_of(lease for lease, _ in batches)
        with self.autocommit.connect() as connection:
            connection.execute(SQL["put_off"], {**leases, "since": [since for _, since in batches]})

    def take(self, holder: Holder, limit: int) -> list[PendingFile]:
        """Take up what was put off and nobody works on, the oldest first. One statement."""
        which = {"owner": holder.owner, "lease_seconds": holder.lease_seconds, "limit": limit}
        with self.autocommit.connect() as connection:
            rows = connection.execute(SQL["take"], which).all()
        return [
            PendingFile(
                batch=ClaimedBatch(
                    lease=Lease(row.id, row.fence),
                    company_id=row.company_id,
                    model=row.model,
                    requests=row.requests,
                    tokens=row.estimated_tokens,
                    cost_eur=row.estimated_cost_eur,
                ),
                input_file_id=row.input_file_id,
                since=row.file_pending_since,
                seconds=row.pending_seconds,
            )
            for row in sorted(rows, key=lambda row: (row.claimed_at, row.id))
        ]
