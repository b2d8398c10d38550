"""Which implementation of the database operations runs, and what each of them costs."""

from sqlalchemy import Engine

from batch_assets.store.original import OriginalQueries
from batch_assets.store.protocol import Queries
from batch_assets.store.strategy.comparing import Compared, CompareLimits, Verdict, compare
from batch_assets.store.strategy.implementations import make_optimized
from batch_assets.store.strategy.modes import QueryMode, Toggle
from batch_assets.store.strategy.reporting import QueryReport
from batch_assets.store.strategy.stored import StoredMode, StoredModes
from batch_assets.store.strategy.strategy import Strategy, Watch

__all__ = [
    "CompareLimits",
    "Compared",
    "QueryMode",
    "QueryReport",
    "StoredMode",
    "StoredModes",
    "Strategy",
    "Toggle",
    "Verdict",
    "Watch",
    "choose_queries",
    "compare",
]


def choose_queries(engine: Engine, *, optimized: bool) -> Queries:
    """One implementation on a database, bare: neither measured nor with a fallback.

    Both give the same results on the same tables, so the choice may change at any time.
    """
    return make_optimized(engine) if optimized else OriginalQueries(engine)
