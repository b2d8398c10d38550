"""What all that asks the database shares: an engine, and how a lease is held."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sqlalchemy import Connection, CursorResult, Engine, text

from batch_assets.domain.records import Lease
from batch_assets.domain.states import BatchState

_HOLD = text("""
    SELECT b.id
    FROM batch_assets.batch AS b
    WHERE b.id = :batch_id AND b.fence = :fence AND b.state = ANY(:states)
    FOR UPDATE
""")


@dataclass(frozen=True)
class EngineQueries:
    """Holds the engine; every method opens and commits its own transactions."""

    engine: Engine

    @cached_property
    def autocommit(self) -> Engine:
        """For what is one statement: it needs no BEGIN and no COMMIT, which are statements, too."""
        return self.engine.execution_options(isolation_level="AUTOCOMMIT")


def holds(connection: Connection, lease: Lease, states: Sequence[BatchState]) -> bool:
    """Lock a batch's row if the lease is still good and the batch in one of `states`.

    Every guarded move begins with this, in the transaction of the move: whoever took the batch over
    has raised the fence, so that an owner that was frozen and wakes changes nothing.
    """
    parameters = {"batch_id": lease.batch_id, "fence": lease.fence, "states": list(states)}
    return connection.execute(_HOLD, parameters).first() is not None


def expect_one(result: CursorResult[Any], statement: str) -> None:
    """Refuse to commit a guarded move of a locked row that did not move exactly that row."""
    if result.rowcount != 1:
        raise RuntimeError(f"{statement} moved {result.rowcount} rows where one was locked")
