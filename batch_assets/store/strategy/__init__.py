"""Which implementation of the database queries runs, and what each of them costs.

A process opens a `Strategy`, asks its `queries`, and lets it write its history at the end.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

import psycopg
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from batch_assets.domain.errors import BatchAssetsError
from batch_assets.domain.logs import open_log
from batch_assets.domain.metrics import QueryUse
from batch_assets.store.counting import count_statements
from batch_assets.store.protocol import Queries
from batch_assets.store.strategy.choose import Chooser
from batch_assets.store.strategy.comparison import (
    IMPLEMENTATIONS,
    Compared,
    CompareLimits,
    Verdict,
    compare,
)
from batch_assets.store.strategy.history import StoredModes, read_history, write_history
from batch_assets.store.strategy.queries import StrategicQueries
from batch_assets.store.strategy.records import (
    Choice,
    Implementation,
    Key,
    QueryMode,
    StoredMode,
    Toggle,
    Totals,
)
from batch_assets.store.strategy.run import Runner
from batch_assets.store.strategy.track import (
    QueryReport,
    Tracker,
    query_report,
    query_use,
    since,
)

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

_OPTIMIZED: Final = IMPLEMENTATIONS[Implementation.OPTIMIZED]
_ORIGINAL: Final = IMPLEMENTATIONS[Implementation.ORIGINAL]

_logger = open_log(__name__)


def choose_queries(engine: Engine, *, optimized: bool) -> Queries:
    """One implementation on a database, bare: neither measured nor with a fallback.

    Both give the same results on the same tables, so the choice may change at any time.
    """
    return _OPTIMIZED(engine) if optimized else _ORIGINAL(engine)


class Strategy:
    """The queries on one database for one process, and what they have cost."""

    def __init__(
        self,
        engine: Engine,
        toggle: Toggle,
        *,
        run_id: str = "",
        stored: Callable[[], StoredMode | None] = lambda: None,
        optimized: Callable[[Engine], Queries] = _OPTIMIZED,
        original: Callable[[Engine], Queries] = _ORIGINAL,
    ) -> None:
        count_statements(engine)
        self._engine = engine
        self._run_id = run_id
        self._tracker = Tracker()
        self._chooser = Chooser(toggle, partial(read_history, engine), stored)
        self._written: Mapping[Key, Totals] = {}
        runner = Runner(
            engine,
            self._chooser,
            self._tracker,
            factories={
                Implementation.OPTIMIZED: optimized,
                Implementation.ORIGINAL: original,
            },
            falls_back=toggle.falls_back,
        )
        self.queries: Queries = StrategicQueries(runner)

    @property
    def mode(self) -> QueryMode:
        """The mode that was asked for; may read the stored choice."""
        return self._chooser.toggle.mode

    def watch(self) -> "Watch":
        """Report, later, on what is done from now on."""
        return Watch(self, self.totals())

    def totals(self) -> Mapping[Key, Totals]:
        """What was measured up to now."""
        return self._tracker.totals()

    def report(self, before: Mapping[Key, Totals]) -> QueryReport:
        """What was done since `before`."""
        measured = since(before, self.totals())
        return query_report(self._chooser.toggle, measured, self._choices(measured))

    def use(self) -> QueryUse:
        """What was done up to now, as metrics of a run."""
        totals = self.totals()
        return query_use(totals, self._choices(totals))

    def _choices(self, measured: Mapping[Key, Totals]) -> Mapping[str, Choice]:
        return {key.query: self._chooser.choose(key.query) for key in measured}

    def flush(self) -> None:
        """Write what was not written yet into the history: one statement, or none.

        A history that cannot be written is no reason for anything to fail: it is logged.
        """
        totals = self.totals()
        measured = since(self._written, totals)
        if not measured:
            return
        try:
            write_history(self._engine, self._run_id, measured, self._chooser.decided())
        except BatchAssetsError as error:
            _logger.warning("The history of the queries cannot be written. %s", error)
        except (SQLAlchemyError, psycopg.Error) as error:
            _logger.warning(
                "The history of the queries cannot be written (%s).", type(error).__name__
            )
        else:
            self._written = totals


@dataclass(frozen=True, slots=True)
class Watch:
    """A moment, from which on a strategy's work is looked at."""

    strategy: Strategy
    before: Mapping[Key, Totals]

    def report(self) -> QueryReport:
        """What was done since then."""
        return self.strategy.report(self.before)
