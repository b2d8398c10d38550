"""Batches on their way to the server, on it and lost on the way, all at once."""

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from batch_assets.domain.batches import BatchRow, InFlightBatch, SubmittedBatch, UploadedBatch
from batch_assets.domain.records import Lease, RemoteBatch
from batch_assets.store.base import EngineQueries, columns_of, return_rows
from batch_assets.store.outcomes import status_columns
from batch_assets.store.sql import load

SQL = load(Path(__file__).with_suffix(".sql"))


class BatchQueries(EngineQueries):
    """The part of `store.protocol.Queries` that moves batches."""

    def renew(self, leases: Sequence[Lease], seconds: float) -> set[str]:
        """See `Queries.renew`; one statement."""
        with self.autocommit.connect() as connection:
            which = columns_of(leases) | {"seconds": seconds}
            return set(connection.execute(SQL["renew"], which).scalars())

    def expire(self, leases: Sequence[Lease]) -> None:
        """See `Queries.expire`; one statement."""
        if leases:
            with self.autocommit.connect() as connection:
                connection.execute(SQL["expire"], columns_of(leases))

    def record_uploads(self, uploaded: Sequence[UploadedBatch], seconds: float) -> set[str]:
        """See `Queries.record_uploads`; one statement, and one more each if rows were dropped or
        lost.
        """
        if not uploaded:
            return set()
        which = columns_of(batch.lease for batch in uploaded) | {
            "input_file_ids": [batch.input_file_id for batch in uploaded],
            "input_bytes": [batch.input_bytes for batch in uploaded],
            "dropped": [len(batch.dropped) for batch in uploaded],
            "seconds": seconds,
        }
        dropped = [request_id for batch in uploaded for request_id in batch.dropped]
        cut = {batch.lease.batch_id for batch in uploaded if not batch.is_whole}
        with (self.engine if dropped or cut else self.autocommit).begin() as connection:
            held = set(connection.execute(SQL["uploaded"], which).scalars())
            if dropped:
                return_rows(connection, sorted(held), dropped)
            if cut & held:
                connection.execute(SQL["forget_positions"], {"batch_ids": sorted(cut & held)})
        return held

    def record_submissions(self, submitted: Sequence[SubmittedBatch]) -> set[str]:
        """See `Queries.record_submissions`; one statement."""
        if not submitted:
            return set()
        which = columns_of(batch.lease for batch in submitted) | {
            "openai_batch_ids": [batch.remote.id for batch in submitted],
            "input_file_ids": [batch.remote.input_file_id for batch in submitted],
            "server_statuses": [batch.remote.status for batch in submitted],
        }
        with self.autocommit.connect() as connection:
            return set(connection.execute(SQL["submitted"], which).scalars())

    def release(self, leases: Sequence[Lease]) -> int:
        """See `Queries.release`; two statements."""
        if not leases:
            return 0
        with self.engine.begin() as connection:
            released = list(connection.execute(SQL["released"], columns_of(leases)).scalars())
            return return_rows(connection, released)

    def open_rows(self, batch_ids: Sequence[str], limit: int) -> list[BatchRow]:
        """See `Queries.open_rows`; one statement."""
        which = {"batch_ids": list(batch_ids), "limit": limit}
        with self.autocommit.connect() as connection:
            rows = connection.execute(SQL["open_rows"], which)
            return [(row.batch_id, row.request_id) for row in rows]

    def record_statuses(
        self, seen: Sequence[tuple[InFlightBatch, RemoteBatch]], ended: frozenset[str]
    ) -> int:
        """See `Queries.record_statuses`; one statement."""
        if not seen:
            return 0
        columns = [
            status_columns(batch, remote, has_ended=batch.id in ended) for batch, remote in seen
        ]
        with self.autocommit.connect() as connection:
            which = {"seen": json.dumps(columns, default=datetime.isoformat)}
            return int(connection.execute(SQL["statuses"], which).scalar_one())

    def record_absences(self, leases: Sequence[Lease], account: str) -> None:
        """See `Queries.record_absences`; one statement."""
        if leases:
            with self.autocommit.connect() as connection:
                connection.execute(SQL["absent"], {**columns_of(leases), "account": account})

    def adopt_external(self) -> int:
        """See `Queries.adopt_external`; one statement."""
        with self.autocommit.connect() as connection:
            return int(connection.execute(SQL["adopt_external"]).scalar_one())
