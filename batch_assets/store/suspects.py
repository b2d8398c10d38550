"""Rows of refused batches: which line of its file each one was, and which go together from now on.

This state is ours alone and has one implementation. Only the claim and the settling, which have
two, read and clear it where they move rows anyway.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection

from batch_assets.domain.records import Lease
from batch_assets.store.base import EngineQueries
from batch_assets.store.lost_connections import retry_lost
from batch_assets.store.optimized.base import columns_of
from batch_assets.store.sql import load

SQL = load(Path(__file__).with_suffix(".sql"))


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """A row that went into the input file of a refused batch."""

    request_id: str
    line: int | None
    """1-based; `None` where nobody knows what became of the rows on their way into the file."""
    is_open: bool
    """False once it has an outcome, or has left the batch."""


@dataclass(frozen=True, slots=True)
class Split:
    """The open rows of a refused batch, held by `lease`, in two lots."""

    lease: Lease
    halves: tuple[Sequence[str], Sequence[str]]


@dataclass(frozen=True)
class Suspects(EngineQueries):
    """Reads refused batches and keeps which of their rows are suspected."""

    @retry_lost
    def rows_of(self, batch_ids: Sequence[str]) -> Mapping[str, Sequence[RefusedRow]]:
        """The rows of these batches, by the batch's id, in the order of their input files."""
        rows: defaultdict[str, list[RefusedRow]] = defaultdict(list)
        with self.autocommit.connect() as connection:
            for row in connection.execute(SQL["refused_rows"], {"batch_ids": list(batch_ids)}):
                rows[row.batch_id].append(RefusedRow(row.request_id, row.line, row.is_open))
        return rows

    @retry_lost
    def split(self, splits: Sequence[Split], most: int) -> Mapping[str, bool]:
        """Suspect the rows of these batches by lots; whether that was done, by the batch's id.

        It is not done where more than `most` batches would then be sent for the one with which the
        suspicion began. Of a batch that is missing in the answer the lease was lost. All is one
        transaction, and doing it again before the batches are settled changes nothing.
        """
        with self.engine.begin() as connection:
            connection.execute(SQL["one_split_at_a_time"])
            leases = columns_of(split.lease for split in splits)
            held = connection.execute(SQL["hold"], leases)
            root_of: dict[str, str] = {row.id: row.root_batch_id for row in held}
            connection.execute(SQL["forget_gone"])
            submissions = _submissions(connection, root_of)
            done = {}
            for split in splits:
                batch_id = split.lease.batch_id
                if batch_id in root_of:
                    root = root_of[batch_id]
                    lots = len(split.halves)
                    done[batch_id] = submissions[root] + lots <= most
                    submissions[root] += lots * done[batch_id]
            _suspect(connection, [split for split in splits if done.get(split.lease.batch_id)])
        return done


def _submissions(connection: Connection, root_of: Mapping[str, str]) -> dict[str, int]:
    """How many batches were sent, or are about to be, for each refused one that began it."""
    which = {"batch_ids": list(root_of), "root_batch_ids": sorted(set(root_of.values()))}
    found = connection.execute(SQL["submissions"], which)
    return {row.root_batch_id: row.submissions for row in found}


def _suspect(connection: Connection, splits: Sequence[Split]) -> None:
    # A lot's name comes from its batch, so that a crash before the settling leaves no other lots.
    rows = [
        (request_id, f"{split.lease.batch_id}/{number}", split.lease.batch_id)
        for split in splits
        for number, half in enumerate(split.halves, start=1)
        for request_id in half
    ]
    if rows:
        request_ids, lots, of_batches = (list(column) for column in zip(*rows, strict=True))
        which = {"request_ids": request_ids, "lots": lots, "of_batches": of_batches}
        connection.execute(SQL["suspect"], which)
