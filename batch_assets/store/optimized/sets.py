"""What those parts of the optimized implementation share that may meet a row that is refused."""

from dataclasses import dataclass

from batch_assets.store.base import EngineQueries
from batch_assets.store.protocol import Queries


@dataclass(frozen=True)
class SetQueries(EngineQueries):
    """Holds also what goes on where the database refuses a value of one row of a set.

    The set was rolled back then, and `row_by_row` does it again: without that row.
    """

    row_by_row: Queries
