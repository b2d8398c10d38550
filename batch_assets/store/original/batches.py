"""Batches on their way to the server, on it and lost on the way, one at a time."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from sqlalchemy import Connection

from batch_assets.domain.batches import BatchRow, InFlightBatch, SubmittedBatch, UploadedBatch
from batch_assets.domain.records import Lease, RemoteBatch
from batch_assets.domain.states import UNRESOLVED_BATCH_STATES, BatchState
from batch_assets.store.base import EngineQueries, holds
from batch_assets.store.outcomes import status_columns
from batch_assets.store.sql import load

SQL = load(Path(__file__).with_suffix(".sql"))


class BatchQueries(EngineQueries):
    """The part of `store.protocol.Queries` that moves batches."""

    def renew(self, leases: Sequence[Lease], seconds: float) -> set[str]:
        """See `Queries.renew`."""
        held = set()
        with self.autocommit.connect() as connection:
            for lease in leases:
                which = {"batch_id": lease.batch_id, "fence": lease.fence, "seconds": seconds}
                if connection.execute(SQL["renew"], which).rowcount == 1:
                    held.add(lease.batch_id)
        return held

    def expire(self, leases: Sequence[Lease]) -> None:
        """See `Queries.expire`."""
        with self.autocommit.connect() as connection:
            for lease in leases:
                which = {"batch_id": lease.batch_id, "fence": lease.fence}
                connection.execute(SQL["expire"], which)

    def record_uploads(self, uploaded: Sequence[UploadedBatch], seconds: float) -> set[str]:
        """See `Queries.record_uploads`."""
        held = set()
        for batch in uploaded:
            with self.engine.begin() as connection:
                if not holds(connection, batch.lease, [BatchState.CLAIMED]):
                    continue
                which = {
                    "batch_id": batch.lease.batch_id,
                    "input_file_id": batch.input_file_id,
                    "input_bytes": batch.input_bytes,
                    "dropped": len(batch.dropped),
                    "seconds": seconds,
                }
                connection.execute(SQL["uploaded"], which)
                connection.execute(SQL["livedash_uploaded"], which)
                return_rows(connection, batch.lease.batch_id, batch.dropped, "released")
                if not batch.is_whole:
                    connection.execute(
                        SQL["forget_positions"], {"batch_ids": [batch.lease.batch_id]}
                    )
            held.add(batch.lease.batch_id)
        return held

    def record_submissions(self, submitted: Sequence[SubmittedBatch]) -> set[str]:
        """See `Queries.record_submissions`."""
        moved = set()
        for batch in submitted:
            with self.engine.begin() as connection:
                if not holds(connection, batch.lease, UNRESOLVED_BATCH_STATES):
                    continue
                which = {
                    "batch_id": batch.lease.batch_id,
                    "openai_batch_id": batch.remote.id,
                    "input_file_id": batch.remote.input_file_id,
                    "server_status": batch.remote.status,
                }
                connection.execute(SQL["submitted"], which)
                connection.execute(SQL["livedash_submitted"], which)
            moved.add(batch.lease.batch_id)
        return moved

    def release(self, leases: Sequence[Lease]) -> int:
        """See `Queries.release`."""
        returned = 0
        for lease in leases:
            with self.engine.begin() as connection:
                if not holds(connection, lease, UNRESOLVED_BATCH_STATES):
                    continue
                which = {"batch_id": lease.batch_id}
                returned += return_open_rows(connection, lease.batch_id, "released")
                connection.execute(SQL["released"], which)
                connection.execute(SQL["livedash_released"], which)
        return returned

    def open_rows(self, batch_ids: Sequence[str], limit: int) -> list[BatchRow]:
        """See `Queries.open_rows`."""
        found: list[BatchRow] = []
        with self.autocommit.connect() as connection:
            for batch_id in sorted(batch_ids):
                which = {"batch_id": batch_id, "limit": limit - len(found)}
                rows = connection.execute(SQL["open_rows"], which).scalars()
                found += [(batch_id, request_id) for request_id in rows]
        return found

    def record_statuses(
        self, seen: Sequence[tuple[InFlightBatch, RemoteBatch]], ended: frozenset[str]
    ) -> int:
        """See `Queries.record_statuses`."""
        changed = 0
        for batch, remote in seen:
            which = status_columns(batch, remote, has_ended=batch.id in ended)
            with self.engine.begin() as connection:
                if connection.execute(SQL["status"], which).rowcount:
                    connection.execute(SQL["livedash_status"], which)
                    changed += 1
        return changed

    def record_absences(self, leases: Sequence[Lease], account: str) -> None:
        """See `Queries.record_absences`."""
        with self.autocommit.connect() as connection:
            for lease in leases:
                which = {"batch_id": lease.batch_id, "fence": lease.fence, "account": account}
                connection.execute(SQL["absent"], which)

    def adopt_external(self) -> int:
        """See `Queries.adopt_external`."""
        with self.autocommit.connect() as connection:
            external = connection.execute(SQL["external_batches"]).scalars().all()
            for batch_id in external:
                connection.execute(SQL["adopt_external"], {"batch_id": batch_id})
        return len(external)


def return_open_rows(connection: Connection, batch_id: str, outcome: str) -> int:
    """All rows of a batch that have no outcome yet wait again; how many."""
    which = {"batch_id": batch_id, "limit": None}
    rows = connection.execute(SQL["open_rows"], which).scalars().all()
    return return_rows(connection, batch_id, rows, outcome)


def return_rows(
    connection: Connection, batch_id: str, request_ids: Iterable[str], outcome: str
) -> int:
    """Rows of a batch wait again, their attempts ended with `outcome`; how many."""
    returned = 0
    for request_id in request_ids:
        which = {"batch_id": batch_id, "request_id": request_id, "outcome": outcome}
        returned += connection.execute(SQL["return_row"], which).rowcount
    return returned
