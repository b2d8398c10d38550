"""What all that asks the database shares: an engine, how a lease is held, how rows wait again."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, CursorResult, Engine

from batch_assets.domain.policy import FlexWait
from batch_assets.domain.records import Lease
from batch_assets.domain.states import BatchState
from batch_assets.store.protocol import Queries
from batch_assets.store.sql import load

SQL = load(Path(__file__).with_suffix(".sql"))


@dataclass(frozen=True)
class EngineQueries:
    """Holds the engine; every method opens and commits its own transactions."""

    engine: Engine

    @cached_property
    def autocommit(self) -> Engine:
        """For what is one statement: it needs no BEGIN and no COMMIT, which are statements, too."""
        return self.engine.execution_options(isolation_level="AUTOCOMMIT")


@dataclass(frozen=True)
class SetQueries(EngineQueries):
    """Holds also what goes on where the database refuses a value of one row of a set.

    The set was rolled back then, and `row_by_row` does it again: without that row.
    """

    row_by_row: Queries


def holds(connection: Connection, lease: Lease, states: Sequence[BatchState]) -> bool:
    """Lock a batch's row if the lease is still good and the batch in one of `states`.

    Every guarded move begins with this, in the transaction of the move: whoever took the batch over
    has raised the fence, so that an owner that was frozen and wakes changes nothing.
    """
    parameters = {"batch_id": lease.batch_id, "fence": lease.fence, "states": list(states)}
    return connection.execute(SQL["hold"], parameters).first() is not None


def columns_of(leases: Iterable[Lease]) -> dict[str, list[str] | list[int]]:
    """Leases as the two arrays `batch_ids` and `fences`, which a statement unnests."""
    taken = list(leases)
    return {
        "batch_ids": [lease.batch_id for lease in taken],
        "fences": [lease.fence for lease in taken],
    }


def flex_wait(flex: FlexWait) -> dict[str, Any]:
    """Make the parameters of `is_left_to_flex`."""
    return {
        "flex_models": list(flex.models),
        "flex_late_after": flex.late_after_seconds,
        "flex_seconds": flex.seconds,
    }


def expect(result: CursorResult[Any], rows: int, statement: str) -> None:
    """Refuse to commit a guarded move of locked rows that did not move all of them.

    Raises:
        RuntimeError: the statement has moved another number of rows.
    """
    if result.rowcount != rows:
        raise RuntimeError(f"{statement} moved {result.rowcount} rows where {rows} were locked")


def return_rows(
    connection: Connection,
    batch_ids: Sequence[str],
    request_ids: Sequence[str] | None = None,
) -> int:
    """Let rows of batches wait again, their attempts released; how many.

    Those that are named, or all that have no outcome yet; one statement.
    """
    which = {
        "batch_ids": list(batch_ids),
        "request_ids": None if request_ids is None else list(request_ids),
    }
    return connection.execute(SQL["return_rows"], which).rowcount
