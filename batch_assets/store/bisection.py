"""The rows of refused batches: which line of its file each was, and which go together from now on.

This state is ours alone and has one implementation. Only claiming and finalizing, which have two,
read and clear it where they move rows anyway.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection

from batch_assets.domain.bisection import BisectionGroup
from batch_assets.domain.records import Lease
from batch_assets.store.base import EngineQueries, columns_of
from batch_assets.store.connection_failures import retry_lost
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
class Evidence:
    """What speaks for or against the rows of a batch that was refused without naming any."""

    group: BisectionGroup | None = None
    """The part of an earlier one that it held; `None` if it is the first that was refused."""
    is_suspected: bool = False
    """Whether that earlier one was split since the server took others of the same requests."""
    is_parted: bool = False
    """Whether the server took the other part."""
    was_taken: bool = False
    """Whether it took any batch of the same model since that earlier one was refused, and before
    this one was sent."""


@dataclass(frozen=True, slots=True)
class Split:
    """The open rows of a refused batch, held by `lease`, in groups."""

    lease: Lease
    groups: Mapping[str, Sequence[str]]
    is_suspected: bool
    """Whether some of these rows are wrong for certain: only so many of their groups are made."""


@dataclass(frozen=True)
class Bisection(EngineQueries):
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
    def evidence(self, batch_ids: Sequence[str]) -> Mapping[str, Evidence]:
        """What the server has said of others beside these refused batches, by the batch's id."""
        which = {"batch_ids": list(batch_ids)}
        with self.autocommit.connect() as connection:
            return {
                row.batch_id: Evidence(
                    None
                    if row.bisection_group is None
                    else BisectionGroup.read(row.bisection_group),
                    row.is_suspected,
                    row.is_parted,
                    row.was_taken,
                )
                for row in connection.execute(SQL["evidence"], which)
            }

    @retry_lost
    def was_answered_since(self, batch_id: str) -> bool:
        """Whether others of its model were answered since there first was no room for the one
        request of this batch."""
        with self.autocommit.connect() as connection:
            found = connection.execute(SQL["was_answered_since"], {"batch_id": batch_id})
            return bool(found.scalar_one())

    @retry_lost
    def split(self, splits: Sequence[Split], most: int) -> Mapping[str, bool]:
        """Suspect the rows of these batches by groups; whether that was done, by the batch's id.

        Rows that are suspected for certain are left as they are if more than `most` groups of such
        would then be made of the batch with which all began. Of a batch that is missing in the
        answer the lease was lost. All is one transaction, and doing it again before the batches
        are finalized changes nothing.
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
                    groups = 2 * split.is_suspected
                    done[batch_id] = not groups or submissions[root] + groups <= most
                    submissions[root] += groups * done[batch_id]
            _suspect(connection, [split for split in splits if done.get(split.lease.batch_id)])
        return done


def _submissions(connection: Connection, root_of: Mapping[str, str]) -> Counter[str]:
    """How many groups were made of suspected rows, by the batch with which all began."""
    which = {"batch_ids": list(root_of), "root_batch_ids": sorted(set(root_of.values()))}
    found = connection.execute(SQL["submissions"], which)
    return Counter({row.root_batch_id: row.submissions for row in found})


def _suspect(connection: Connection, splits: Sequence[Split]) -> None:
    rows = [
        (request_id, group, split.lease.batch_id)
        for split in splits
        for group, request_ids in split.groups.items()
        for request_id in request_ids
    ]
    if rows:
        request_ids, groups, of_batches = (list(column) for column in zip(*rows, strict=True))
        which = {"request_ids": request_ids, "groups": groups, "of_batches": of_batches}
        connection.execute(SQL["keep_groups"], which)
    noted = [split.lease.batch_id for split in splits if split.is_suspected]
    if noted:
        connection.execute(SQL["note_split"], {"batch_ids": noted})
