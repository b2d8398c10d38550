"""How each implementation is put on an engine: nothing else imports either of them."""

from collections.abc import Callable, Mapping
from typing import Final

from sqlalchemy import Engine

from batch_assets.store.optimized import OptimizedQueries
from batch_assets.store.original import OriginalQueries
from batch_assets.store.protocol import Queries
from batch_assets.store.strategy.modes import Implementation


def make_optimized(engine: Engine) -> Queries:
    """The optimized implementation; a set of which the database refuses a row the original does."""
    return OptimizedQueries(engine, OriginalQueries(engine))


IMPLEMENTATIONS: Final[Mapping[Implementation, Callable[[Engine], Queries]]] = {
    Implementation.OPTIMIZED: make_optimized,
    Implementation.ORIGINAL: OriginalQueries,
}
