"""The optimized implementation: all companies at once, and writes in sets.

The same results as the original, row for row; the number of its statements does not depend on how
many companies or rows there are.
"""

from batch_assets.store.optimized.batches import BatchQueries
from batch_assets.store.optimized.claiming import ClaimQueries
from batch_assets.store.optimized.companies import CompanyQueries
from batch_assets.store.optimized.conversations import ConversationQueries
from batch_assets.store.optimized.intake import IntakeQueries
from batch_assets.store.optimized.recovery import RecoveryQueries
from batch_assets.store.optimized.results import ResultQueries

__all__ = ["OptimizedQueries"]


class OptimizedQueries(
    CompanyQueries,
    IntakeQueries,
    ClaimQueries,
    ConversationQueries,
    BatchQueries,
    ResultQueries,
    RecoveryQueries,
):
    """`store.protocol.Queries`, in sets."""
