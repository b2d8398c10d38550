"""Batches that an operator has given up, and what they bring all the same.

This state is ours alone and has one implementation. `Registry.abandon` makes it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from batch_assets.store.base import EngineQueries
from batch_assets.store.lost_connections import retry_lost
from batch_assets.store.sql import load

SQL = load(Path(__file__).with_suffix(".sql"))

LOOKED_FOR_DAYS: Final = 30
"""Nothing is expected of a batch that was given up so long ago: its files have expired."""


@dataclass(frozen=True, slots=True)
class AbandonedBatch:
    """A batch that was given up, whose requests have left it, and that is to be looked at now."""

    batch_id: str
    openai_batch_id: str
    model: str | None
    is_ours: bool
    """False for one that LiveDash made, or the database that this one is a copy of."""
    is_last: bool
    """Whether it is not looked at again after this."""


@dataclass(frozen=True, slots=True)
class Late:
    """Answers that came after their batch was given up, and what they cost."""

    answers: int = 0
    cost_eur: float = 0.0


@dataclass(frozen=True, slots=True)
class AbandonedStanding:
    """All batches that were ever given up."""

    looked_for: int
    """Those of them that may still bring something."""
    answers: int
    wasted_cost_eur: float


@dataclass(frozen=True)
class Abandoned(EngineQueries):
    """Reads and books what abandoned batches bring; each call is one statement."""

    @retry_lost
    def take(self, limit: int, *, whenever: bool) -> list[AbandonedBatch]:
        """At most `limit` that are due to be looked at, or `whenever` they are.

        The date of their next look is set.
        """
        which = {"limit": limit, "whenever": whenever, "days": LOOKED_FOR_DAYS}
        with self.autocommit.connect() as connection:
            return [
                AbandonedBatch(**row._mapping) for row in connection.execute(SQL["take"], which)
            ]

    @retry_lost
    def rows(self, batch_id: str) -> Mapping[str, bool]:
        """The requests of a batch, and whether an answer to each is waste: none was read before."""
        with self.autocommit.connect() as connection:
            rows = connection.execute(SQL["rows"], {"batch_id": batch_id})
            return {row.request_id: row.is_waste for row in rows}

    @retry_lost
    def book(self, batch_id: str, late: Late, *, is_read: bool) -> Late:
        """Keep all that could be read of a batch; how much of it is new.

        With `is_read` it is not looked at again.
        """
        which = {"batch_id": batch_id, "answers": late.answers, "cost_eur": late.cost_eur}
        with self.autocommit.connect() as connection:
            row = connection.execute(SQL["book"], which | {"is_read": is_read}).one_or_none()
        return Late() if row is None else Late(row.answers, row.cost_eur)

    @retry_lost
    def standing(self) -> AbandonedStanding:
        """How many there are, and what they have cost."""
        with self.autocommit.connect() as connection:
            return AbandonedStanding(**connection.execute(SQL["standing"]).one()._mapping)
