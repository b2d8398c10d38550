"""What other runs, and LiveDash itself, have left open, all at once."""

from collections.abc import Sequence
from pathlib import Path

from batch_assets.domain.records import Lease
from batch_assets.store.optimized.base import columns_of
from batch_assets.store.original.recovery import RecoveryQueries as OriginalRecoveryQueries
from batch_assets.store.sql import load

SQL = load(Path(__file__).with_suffix(".sql"))


class RecoveryQueries(OriginalRecoveryQueries):
    """The part of `store.protocol.Queries` that takes over and adopts.

    Taking over is one statement in the original, too.
    """

    def record_absences(self, leases: Sequence[Lease], account: str) -> None:
        """See `Queries.record_absences`; one statement."""
        if leases:
            with self.autocommit.connect() as connection:
                connection.execute(SQL["absent"], {**columns_of(leases), "account": account})

    def adopt_foreign(self) -> int:
        """See `Queries.adopt_foreign`; one statement."""
        with self.autocommit.connect() as connection:
            return int(connection.execute(SQL["adopt_foreign"]).scalar_one())
