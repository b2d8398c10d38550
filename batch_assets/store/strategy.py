"""Which implementation of the database operations runs: the one switch between the two."""

from sqlalchemy import Engine

from batch_assets.store.optimized import OptimizedQueries
from batch_assets.store.original import OriginalQueries
from batch_assets.store.protocol import Queries


def choose_queries(engine: Engine, *, optimized: bool) -> Queries:
    """The operations on a database: in sets, or company by company and row by row.

    Both give the same results on the same tables, so the choice may change at any time.
    """
    return OptimizedQueries(engine) if optimized else OriginalQueries(engine)
