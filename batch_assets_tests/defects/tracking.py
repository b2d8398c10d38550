"""The choice between optimized and original, as a process of either system makes it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from sqlalchemy import Engine

from batch_assets.domain.accounts import DEFAULT_ACCOUNT
from batch_assets.domain.records import Backlog
from batch_assets.store.optimized import OptimizedQueries
from batch_assets.store.strategy import QueryMode, Strategy, Toggle
from batch_assets_tests.defects.replaced.components import ReplacedTracker
from batch_assets_tests.defects.world import World
from batch_assets_tests.store.strategy.breaking import made_of

OPERATION = "pending_by_company"


class Tracking(Protocol):
    """One process that does one operation, over and over."""

    def work(self, *, breaks: bool = False) -> str:
        """Do it once, where optimized may break; with which implementation it was begun."""
        ...


class BrokenQueries(OptimizedQueries):
    """An index, a view or a function of ours has gone."""

    def pending_by_company(
        self, company_ids: Sequence[str], account_name: str = DEFAULT_ACCOUNT
    ) -> list[Backlog]:
        with self.engine.begin() as connection:
            connection.exec_driver_sql("SELECT a.id FROM batch_assets.artefact_that_is_gone AS a")
        return super().pending_by_company(company_ids, account_name)


@dataclass(frozen=True)
class OurTracking:
    """Each run is a process of its own: the history is in the database."""

    engine: Engine

    def work(self, *, breaks: bool = False) -> str:
        optimized = made_of(BrokenQueries if breaks else OptimizedQueries)
        strategy = Strategy(self.engine, Toggle(QueryMode.AUTO), optimized=optimized)
        strategy.queries.pending_by_company(["a-company"])
        strategy.flush()
        return str(strategy.report({}).query_operations[OPERATION]["implementation"])


@dataclass
class ReplacedTracking:
    """One process that lives for long."""

    tracker: ReplacedTracker = field(default_factory=ReplacedTracker)

    def work(self, *, breaks: bool = False) -> str:
        chosen = self.tracker.choose()
        if breaks and chosen == "optimized":
            self.tracker.record_failure(chosen)
        else:
            self.tracker.record(chosen, seconds=0.01)
        return chosen


def new_tracking(world: World) -> Tracking:
    """A new process of the side that is looked at."""
    return OurTracking(world.lab.desk.engine) if world.is_ours else ReplacedTracking()
