"""What every stage is given: the store, the API, the policy, and a budget for one run."""

import gc
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ContextDecorator
from dataclasses import dataclass, field
from functools import cached_property, wraps
from pathlib import Path
from typing import Concatenate, ParamSpec, Self, TypeVar

from batch_assets.domain.errors import BatchAssetsError
from batch_assets.domain.money import Price
from batch_assets.domain.policy import Policy
from batch_assets.openai_batch.client import BatchApi
from batch_assets.openai_batch.prices import offers_flex, price_finder
from batch_assets.openai_batch.profiles import Profile
from batch_assets.stages.reports import Reports
from batch_assets.store.bisection import Bisection
from batch_assets.store.database_errors import changed
from batch_assets.store.drains import Drains
from batch_assets.store.installation import EarlierInstallation
from batch_assets.store.intents import Intents, PendingFiles, Searches
from batch_assets.store.livedash_acts import LiveDashActs
from batch_assets.store.protocol import Holder, Queries
from batch_assets.store.readings import Abandoned, Readings
from batch_assets.store.registry import Registry, WorkSnapshot
from batch_assets.store.sessions import Followers
from batch_assets.store.synchronous_requests import SynchronousBatches

_Arguments = ParamSpec("_Arguments")
_Report = TypeVar("_Report")

_OBJECTS_A_COLLECTION = 50_000
"""Containers that are made and not freed; Python's own is 700."""


@dataclass(frozen=True)
class Pipeline:
    """One run's view of the world; made by a resource for Dagster and by fixtures for tests."""

    queries: Queries
    """The operations that have an original and an optimized implementation."""
    registry: Registry
    """What is ours alone: installation, confirmation, cooldowns."""
    api: BatchApi
    policy: Policy
    spool_dir: Path
    """Where input files lie while they are uploaded; made 0700 on first use."""
    owner: str
    """Who holds the leases that this run takes: host, process and run."""
    run_id: str = ""
    """The Dagster run, kept with each batch that it claims; empty outside Dagster."""
    reports: Reports = field(default_factory=Reports)
    """Where each stage notes its report before it begins."""
    looks: Reports = field(default_factory=Reports)
    """What this process has asked the server's lists, so that no other stage of it asks again."""

    @property
    def account_name(self) -> str:
        """The account that the run works with: what was made with another one is not its own."""
        return self.registry.account_name

    def require_own(self, account_names: Iterable[str]) -> None:
        """See that nothing is sent with this key that was claimed for another account.

        Raises:
            BatchAssetsError: Something was: nothing may be sent then.
        """
        others = sorted({*account_names} - {self.account_name})
        if others:
            raise BatchAssetsError(
                f"Batches of the account {', '.join(others)} are not sent with the key of the "
                f"account {self.account_name}: nothing was sent, and they are looked up later."
            )

    def read_snapshot(self) -> WorkSnapshot:
        """See what there is to do at this moment; one statement.

        Whoever runs a stage passes it one. A stage that has changed what it shows returns a newer
        one, or reads one itself.

        Raises:
            LiveDashChangedError: LiveDash's tables lack what a run needs: nothing is sent whose
                answer could not be written.
        """
        seen = self.registry.snapshot()
        if seen.livedash_lacks:
            raise changed([f"{one} is missing" for one in seen.livedash_lacks])
        return seen

    @cached_property
    def bisection(self) -> Bisection:
        """Which requests of refused batches are sent apart from all others."""
        return Bisection(self.registry.engine)

    @cached_property
    def readings(self) -> Readings:
        """How far ended batches were read, and when they are looked at again."""
        return Readings(self.registry.engine)

    @cached_property
    def intents(self) -> Intents:
        """What we meant to make on the server."""
        return Intents(self.registry.engine)

    @cached_property
    def abandoned(self) -> Abandoned:
        """Batches that were given up, and what they bring all the same."""
        return Abandoned(self.registry.engine, self.account_name)

    @cached_property
    def pending_files(self) -> PendingFiles:
        """Batches whose input file the server still processes."""
        return PendingFiles(self.registry.engine)

    @cached_property
    def earlier_installation(self) -> EarlierInstallation:
        """What an earlier installation, whose schema was lost, has left."""
        return EarlierInstallation(self.registry.engine)

    @cached_property
    def drains(self) -> Drains:
        """Whether submissions are stopped until all that is under way has come to its end."""
        return Drains(self.registry.engine)

    @cached_property
    def searches(self) -> Searches:
        """How far the server's lists were read for what is unresolved."""
        return Searches(self.registry.engine, self.account_name)

    @cached_property
    def synchronous_batches(self) -> SynchronousBatches:
        """Requests that are sent one by one."""
        return SynchronousBatches(self.registry.engine)

    @cached_property
    def followers(self) -> Followers:
        """Requests that share the answer of another one."""
        return Followers(self.registry.engine)

    @cached_property
    def livedash_acts(self) -> LiveDashActs:
        """What LiveDash's own timers do beside us."""
        return LiveDashActs(self.registry.engine)

    @cached_property
    def price_of(self) -> Callable[[str], Price | None]:
        """What a model costs; read when first asked for, since most runs need no price."""
        return prices_of(self.queries.model_prices(), self.policy, self.api.profile)

    def offers_flex(self, name: str) -> bool:
        """Whether the server answers for this model by flex, and what that costs is known."""
        flex_models = self.policy.synchronous.flex_models
        is_offered = offers_flex(self.api.profile, flex_models, name, self.policy.model_of(name))
        return is_offered and self.price_of(name) is not None

    def holder(self, installation_id: str) -> Holder:
        """Who takes leases in this run."""
        return Holder(
            owner=self.owner,
            run_id=self.run_id,
            installation_id=installation_id,
            lease_seconds=self.policy.lease_seconds,
            account=self.api.account,
            account_name=self.account_name,
        )


def prices_of(
    livedash: Mapping[str, Price], policy: Policy, profile: Profile
) -> Callable[[str], Price | None]:
    """What models cost, by LiveDash's prices, what somebody has set, and what is published."""
    known = {**livedash, **policy.model_prices}
    return price_finder(known, profile, policy.model_of, policy.synchronous.flex_models)


@dataclass
class Budget:
    """How long a stage may work and how many rows it may move in one run."""

    seconds: float
    rows: int
    clock: Callable[[], float] = time.monotonic
    _deadline: float = field(init=False)

    @classmethod
    def of_op(cls, policy: Policy) -> Self:
        """What one op may spend, from now on; a command that does the same may spend as much."""
        return cls(policy.op_seconds, policy.rows_per_run)

    def __post_init__(self) -> None:
        self._deadline = self.clock() + self.seconds

    def spend(self, rows: int) -> None:
        """Count rows that were moved."""
        self.rows -= rows

    @property
    def seconds_left(self) -> float:
        """None or less: the time is up."""
        return self._deadline - self.clock()

    @property
    def is_late(self) -> bool:
        """Whether the time is up: what is begun is put down, too."""
        return self.seconds_left <= 0

    @property
    def is_spent(self) -> bool:
        """Whether the stage has to leave the rest to the next run."""
        return self.rows <= 0 or self.is_late


class RareCollections(ContextDecorator):
    """Lets Python look for cycles in memory less often while a stage runs, in the whole process.

    Rows come by the thousands and make none: each look goes through them, and finds nothing. Stages
    may run in several threads: the last to end leaves everything as the first has found it.
    """

    def __init__(self) -> None:
        self._running = 0
        self._usual = gc.get_threshold()
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        with self._lock:
            if not self._running:
                self._usual = gc.get_threshold()
                gc.set_threshold(_OBJECTS_A_COLLECTION, *self._usual[1:])
            self._running += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._running -= 1
            if not self._running:
                gc.set_threshold(*self._usual)


rare_collections = RareCollections()


def within_budget(
    stage: Callable[Concatenate[Pipeline, WorkSnapshot, Budget, _Arguments], _Report],
) -> Callable[Concatenate[Pipeline, WorkSnapshot, Budget, _Arguments], _Report]:
    """Let the calls that a stage makes end soon after its budget, however slow the server is."""

    @wraps(stage)
    def bounded(
        pipeline: Pipeline,
        snapshot: WorkSnapshot,
        budget: Budget,
        /,
        *arguments: _Arguments.args,
        **named: _Arguments.kwargs,
    ) -> _Report:
        with pipeline.api.within(budget.seconds_left):
            return stage(pipeline, snapshot, budget, *arguments, **named)

    return bounded
