"""What other runs, and LiveDash itself, have left open, one batch at a time."""

from collections.abc import Sequence
from pathlib import Path

from batch_assets.domain.batches import UnresolvedBatch
from batch_assets.domain.records import Lease
from batch_assets.store.base import EngineQueries
from batch_assets.store.protocol import Holder
from batch_assets.store.sql import load

SQL = load(Path(__file__).with_suffix(".sql"))


class RecoveryQueries(EngineQueries):
    """The part of `store.protocol.Queries` that takes over and adopts."""

    def take_unresolved(self, holder: Holder, limit: int) -> list[UnresolvedBatch]:
        """See `Queries.take_unresolved`."""
        which = {
            "owner": holder.owner,
            "lease_seconds": holder.lease_seconds,
            "limit": limit,
        }
        with self.autocommit.connect() as connection:
            rows = connection.execute(SQL["take_unresolved"], which).all()
        return [
            UnresolvedBatch(
                lease=Lease(row.id, row.fence),
                account=row.account,
                input_file_id=row.input_file_id,
                claimed_at=row.claimed_at,
                sought_at=row.sought_at,
                absences=row.absences,
                absent_since=row.absent_since,
                is_orphan=row.is_orphan,
            )
            for row in sorted(rows, key=lambda row: (row.claimed_at, row.id))
        ]

    def record_absences(self, leases: Sequence[Lease], account: str) -> None:
        """See `Queries.record_absences`."""
        with self.autocommit.connect() as connection:
            for lease in leases:
                which = {"batch_id": lease.batch_id, "fence": lease.fence, "account": account}
                connection.execute(SQL["absent"], which)

    def adopt_foreign(self) -> int:
        """See `Queries.adopt_foreign`."""
        with self.autocommit.connect() as connection:
            foreign = connection.execute(SQL["foreign_batches"]).scalars().all()
            for batch_id in foreign:
                connection.execute(SQL["adopt_foreign"], {"batch_id": batch_id})
        return len(foreign)
