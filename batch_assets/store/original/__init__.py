"""The original implementation: company by company and row by row, as simple as can be.

It is the reference that the optimized one is compared with, and the way back.
"""

from batch_assets.store.one_statement import OneStatementQueries
from batch_assets.store.original.batches import BatchQueries
from batch_assets.store.original.claiming import ClaimQueries
from batch_assets.store.original.intake import IntakeQueries
from batch_assets.store.original.reading import ReadingQueries
from batch_assets.store.original.results import ResultQueries

__all__ = ["OriginalQueries"]


class OriginalQueries(
    OneStatementQueries,
    IntakeQueries,
    ClaimQueries,
    ReadingQueries,
    BatchQueries,
    ResultQueries,
):
    """`store.protocol.Queries`, one statement a row."""
