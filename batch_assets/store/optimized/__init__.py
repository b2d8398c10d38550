"""The optimized implementation: all companies at once, and writes in sets.

The same results as the original, row for row; the number of its statements does not depend on how
many companies or rows there are.
"""

from dataclasses import dataclass

from batch_assets.store.one_statement import OneStatementQueries
from batch_assets.store.optimized.batches import BatchQueries
from batch_assets.store.optimized.claiming import ClaimQueries
from batch_assets.store.optimized.intake import IntakeQueries
from batch_assets.store.optimized.reading import ReadingQueries
from batch_assets.store.optimized.results import ResultQueries

__all__ = ["OptimizedQueries"]


@dataclass(frozen=True)
class OptimizedQueries(
    OneStatementQueries,
    IntakeQueries,
    ClaimQueries,
    ReadingQueries,
    BatchQueries,
    ResultQueries,
):
    """`store.protocol.Queries`, in sets."""
