"""The original implementation: company by company and row by row, as simple as can be.

It is the reference that the optimized one is compared with, and the way back.
"""

from batch_assets.store.original.batches import BatchQueries
from batch_assets.store.original.claiming import ClaimQueries
from batch_assets.store.original.companies import CompanyQueries
from batch_assets.store.original.conversations import ConversationQueries
from batch_assets.store.original.intake import IntakeQueries
from batch_assets.store.original.recovery import RecoveryQueries
from batch_assets.store.original.results import ResultQueries

__all__ = ["OriginalQueries"]


class OriginalQueries(
    CompanyQueries,
    IntakeQueries,
    ClaimQueries,
    ConversationQueries,
    BatchQueries,
    ResultQueries,
    RecoveryQueries,
):
    """`store.protocol.Queries`, one statement a row."""
