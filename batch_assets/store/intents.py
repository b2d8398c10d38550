"""What we meant to make on the server: to be compared with what is there, or gone on with.

A batch whose input file the server still processes is left alone by recovery: no creation was
called for it yet, and there is nothing to be looked up. This has one implementation.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from batch_assets.domain.batches import ClaimedBatch
from batch_assets.domain.records import Lease
from batch_assets.domain.states import BatchState
from batch_assets.store.base import EngineQueries, columns_of
from batch_assets.store.connection_failures import retry_lost
from batch_assets.store.protocol import Holder
from batch_assets.store.sql import load

SQL = load(Path(__file__).with_suffix(".sql"))


@dataclass(frozen=True, slots=True)
class Intent:
    """A batch of ours, and what it uses on the server."""

    state: BatchState
    openai_batch_id: str | None
    input_file_id: str | None
    account: str | None = None
    """With which key and address it was made; `None` if that was not kept yet."""


@dataclass(frozen=True, slots=True)
class Named:
    """Something on the server that carries this installation's id."""

    remote_id: str
    batch_id: str
    made_at: datetime | None
    """By our clock; `None` where the server does not say."""


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A batch on the server whose intent has another one, or was given up."""

    openai_batch_id: str
    batch_id: str
    is_cancelled: bool
    """Whether it was cancelled now; else it had ended, or could not be cancelled."""


@dataclass(frozen=True)
class Intents(EngineQueries):
    """Reads batches of this database by their ids, and keeps the second ones; a statement each."""

    @retry_lost
    def known(self, batch_ids: Collection[str]) -> Mapping[str, Intent]:
        """Those of these batches that this database has made, by id."""
        with self.autocommit.connect() as connection:
            rows = connection.execute(SQL["known"], {"batch_ids": sorted(batch_ids)})
            return {
                row.id: Intent(
                    BatchState(row.state), row.openai_batch_id, row.input_file_id, row.account
                )
                for row in rows
            }

    @retry_lost
    def accounts_of(self, openai_batch_ids: Collection[str]) -> set[str]:
        """The accounts that batches of ours were made with, by the server's ids; "" if not kept."""
        with self.autocommit.connect() as connection:
            which = {"openai_batch_ids": list(openai_batch_ids)}
            return set(connection.execute(SQL["accounts_of"], which).scalars())

    @retry_lost
    def recorded(self, openai_batch_ids: Sequence[str]) -> frozenset[str]:
        """Those of these batches on the server that this database knows, whoever made them."""
        with self.autocommit.connect() as connection:
            which = {"openai_batch_ids": openai_batch_ids}
            return frozenset(connection.execute(SQL["recorded"], which).scalars())

    @retry_lost
    def note_unknown(self, found: Sequence[Named]) -> int:
        """Keep what carries the id of a batch that this database does not know; how many are new.

        Not what an operator knows of already. As long as any is kept, nothing is submitted.
        """
        with self.autocommit.connect() as connection:
            which = {
                "remote_ids": [one.remote_id for one in found],
                "batch_ids": [one.batch_id for one in found],
                "made_at": [one.made_at for one in found],
            }
            return len(connection.execute(SQL["note_unknown"], which).all())

    @retry_lost
    def record_duplicates(self, found: Sequence[Duplicate]) -> None:
        """Keep second batches with what they would have cost; one that is known stays as it is."""
        with self.autocommit.connect() as connection:
            connection.execute(
                SQL["record_duplicates"],
                {
                    "openai_batch_ids": [one.openai_batch_id for one in found],
                    "batch_ids": [one.batch_id for one in found],
                    "are_cancelled": [one.is_cancelled for one in found],
                },
            )


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
