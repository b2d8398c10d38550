"""What the parts of the optimized implementation share."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import CursorResult

from batch_assets.domain.records import Lease


def columns_of(leases: Iterable[Lease]) -> dict[str, list[str] | list[int]]:
    """Leases as the two arrays `batch_ids` and `fences`, which a statement unnests."""
    taken = list(leases)
    return {
        "batch_ids": [lease.batch_id for lease in taken],
        "fences": [lease.fence for lease in taken],
    }


def expect(result: CursorResult[Any], rows: int, statement: str) -> None:
    """Refuse to commit a guarded move of locked rows that did not move all of them."""
    if result.rowcount != rows:
        raise RuntimeError(f"{statement} moved {result.rowcount} rows where {rows} were locked")
