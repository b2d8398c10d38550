"""Results back into rows, one batch and one row at a time."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from batch_assets.domain.batches import BatchOutcomes, BatchRow, Written
from batch_assets.domain.policy import NO_WAIT, FlexWait, Policy
from batch_assets.domain.records import Lease
from batch_assets.domain.states import BatchState
from batch_assets.store.base import EngineQueries, flex_wait, holds
from batch_assets.store.database_errors import concerns_all, refuses_value
from batch_assets.store.original.batches import return_open_rows
from batch_assets.store.original.result_rows import write_rows
from batch_assets.store.sessions import restage
from batch_assets.store.sql import load

SQL = load(Path(__file__).with_suffix(".sql"))


class ResultQueries(EngineQueries):
    """The part of `store.protocol.Queries` that writes results and retries failures."""

    def rows_of(self, rows: Sequence[BatchRow]) -> Mapping[BatchRow, str | None]:
        """See `Queries.rows_of`."""
        asked: defaultdict[str, list[str]] = defaultdict(list)
        for batch_id, request_id in rows:
            asked[batch_id].append(request_id)
        found: dict[BatchRow, str | None] = {}
        with self.autocommit.connect() as connection:
            for batch_id, request_ids in asked.items():
                which = {"batch_id": batch_id, "request_ids": request_ids}
                for row in connection.execute(SQL["rows_of"], which):
                    found[batch_id, row.request_id] = row.processing_type
        return found

    def write_results(
        self, results: Sequence[BatchOutcomes], policy: Policy
    ) -> Mapping[str, Written]:
        """See `Queries.write_results`; a transaction for each batch.

        What the database refuses of one batch does not keep the others from being written; and what
        it refuses of one row, by a CHECK of LiveDash's or a column's width, not the other rows.
        """
        written = {}
        for result in results:
            batch_id = result.lease.batch_id
            try:
                done = self._write_one(result, policy)
            except DBAPIError as error:
                if concerns_all(error):
                    raise
                written[batch_id] = Written(error=type(error.orig).__name__)
            else:
                if done is not None:
                    written[batch_id] = done
        return written

    def _write_one(self, result: BatchOutcomes, policy: Policy) -> Written | None:
        """Write a batch's outcomes; once more, each by itself, if the database refuses a value."""
        try:
            return self._write_in_one_go(result, policy, one_by_one=False)
        except DBAPIError as error:
            if not refuses_value(error):
                raise
        return self._write_in_one_go(result, policy, one_by_one=True)

    def _write_in_one_go(
        self, result: BatchOutcomes, policy: Policy, *, one_by_one: bool
    ) -> Written | None:
        with self.engine.begin() as connection:
            if not holds(connection, result.lease, [BatchState.ENDED]):
                return None
            return write_rows(connection, result, policy, one_by_one=one_by_one)

    def finalize(self, leases: Sequence[Lease]) -> Mapping[str, int]:
        """See `Queries.finalize`; a transaction for each batch."""
        returned = {}
        for lease in leases:
            which = {"batch_id": lease.batch_id}
            with self.engine.begin() as connection:
                if not holds(connection, lease, [BatchState.ENDED]):
                    continue
                rows = return_open_rows(connection, lease.batch_id, "unanswered")
                connection.execute(SQL["clear_suspects"], which)
                connection.execute(SQL["finalized"], which | {"returned": rows})
                connection.execute(SQL["livedash_finalized"], which)
            returned[lease.batch_id] = rows
        return returned

    def record_deleted(self, batch_ids: Sequence[str]) -> None:
        """See `Queries.record_deleted`."""
        with self.autocommit.connect() as connection:
            for batch_id in batch_ids:
                connection.execute(SQL["deleted"], {"batch_id": batch_id})

    def requeue_due(self, limit: int, flex: FlexWait = NO_WAIT) -> int:
        """See `Queries.requeue_due`."""
        overtaken: list[str] = []
        with self.autocommit.connect() as connection:
            which = {"limit": limit, **flex_wait(flex)}
            due = connection.execute(SQL["due_retries"], which).scalars().all()
            for request_id in due:
                moved = connection.execute(SQL["requeue_row"], {"request_id": request_id})
                overtaken += [] if moved.rowcount else [request_id]
            if overtaken:
                found = connection.execute(SQL["sessions"], {"request_ids": overtaken})
                restage(connection, found.scalars().all())
        return len(due) - len(overtaken)
