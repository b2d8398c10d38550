"""How far the results of ended batches could be read, and when they are looked at again.

This state is ours alone and has one implementation; each operation is one statement, and touches
only batches whose lease is held.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from batch_assets.domain.batches import EndedBatch
from batch_assets.domain.records import Lease
from batch_assets.store.base import EngineQueries, columns_of
from batch_assets.store.lost_connections import retry_lost
from batch_assets.store.sql import load

SQL = load(Path(__file__).with_suffix(".sql"))


@dataclass(frozen=True, slots=True)
class NextLook:
    """A batch that is put down, to be looked at again."""

    lease: Lease
    seconds: float
    """From now on."""
    is_incomplete: bool
    """Whether the grace runs: it was read, and there has to be more of it."""
    output_bytes: int | None
    error_bytes: int | None
    """How much of each file was received; `None`: not all, or nothing of use."""


@dataclass(frozen=True)
class Readings(EngineQueries):
    """Keeps what was seen of ended batches."""

    @retry_lost
    def see_again(self, batches: Sequence[EndedBatch]) -> None:
        """Keep which files these batches have, and how many answers, by the server's last word."""
        which = columns_of(batch.lease for batch in batches) | {
            "output_file_ids": [batch.output_file_id for batch in batches],
            "error_file_ids": [batch.error_file_id for batch in batches],
            "server_answered": [batch.server_answered for batch in batches],
        }
        with self.autocommit.connect() as connection:
            connection.execute(SQL["see_again"], which)

    @retry_lost
    def look_later(self, looks: Sequence[NextLook]) -> None:
        """Give these batches up until their time comes."""
        which = columns_of(look.lease for look in looks) | {
            "seconds": [look.seconds for look in looks],
            "are_incomplete": [look.is_incomplete for look in looks],
            "output_bytes": [look.output_bytes for look in looks],
            "error_bytes": [look.error_bytes for look in looks],
        }
        with self.autocommit.connect() as connection:
            connection.execute(SQL["look_later"], which)

    @retry_lost
    def note_completeness(self, found: Sequence[tuple[Lease, bool]]) -> None:
        """Say of batches that are about to be settled whether something of them is missing."""
        which = columns_of(lease for lease, _ in found) | {
            "are_incomplete": [is_incomplete for _, is_incomplete in found]
        }
        with self.autocommit.connect() as connection:
            connection.execute(SQL["note_completeness"], which)
