"""What the stages are given, put together for one run."""

import os
import socket
import time
from dataclasses import dataclass, field
from functools import cached_property

import dagster as dg

from batch_assets.resources.database import DatabaseResource
from batch_assets.resources.openai import OpenAIResource
from batch_assets.resources.query_strategy import QueryStrategyResource
from batch_assets.resources.wiring import WiringResource
from batch_assets.stages.guarding import Guard
from batch_assets.stages.pipeline import Budget, Pipeline
from batch_assets.store.breakers import Breakers
from batch_assets.store.counting import statements_sent
from batch_assets.store.registry import Registry
from batch_assets.store.strategy import StoredMode, StoredModes, Watch


@dataclass
class RunTally:
    """What the ops of a run have done in this process, for the run's tags."""

    requests_sent: int = 0
    results_read: int = 0
    company_ids: set[str] = field(default_factory=set)
    """Companies for which anything was sent or read."""


class PipelineResource:
    """Puts the stages' `Pipeline` together when first asked."""

    def __init__(
        self,
        wiring: WiringResource,
        database: DatabaseResource,
        openai: OpenAIResource,
        strategy: QueryStrategyResource,
        run_id: str,
    ) -> None:
        self._wiring = wiring
        self._database = database
        self._openai = openai
        self._strategy = strategy
        self._run_id = run_id
        self._began = time.monotonic()
        self._sent_before = statements_sent()
        self.tally = RunTally()
        strategy.learn_stored_mode(self._stored_mode)

    @property
    def run_seconds(self) -> float:
        """How long ago the run began, in this process."""
        return time.monotonic() - self._began

    @property
    def tags(self) -> dict[str, object]:
        """What the list of runs says of this one. Statements are those on LiveDash's database, but
        for the one that writes what was measured, at the very end."""
        return {
            "mode": self._strategy.mode.value,
            "companies": len(self.tally.company_ids),
            "requests": self.tally.requests_sent,
            "results": self.tally.results_read,
            "statements": statements_sent() - self._sent_before,
        }

    def _stored_mode(self) -> StoredMode | None:
        """From the glance with which a run begins; where there is no pipeline, by a statement.

        What needs the database alone goes on without a key that can be used.
        """
        if "pipeline" in self.__dict__:
            return self.pipeline.glance.stored_mode
        return StoredModes(self._database.engine).read()

    @cached_property
    def pipeline(self) -> Pipeline:
        """The run's pipeline; raises what the resources that it is made of raise."""
        policy = self._wiring.settings.policy()
        guard = Guard(
            Breakers(self._database.engine), policy, known=lambda: self.pipeline.glance.breakers
        )
        return Pipeline(
            queries=self._strategy.queries,
            registry=Registry(self._database.engine, policy.foreign_quiet_seconds),
            api=self._openai.api(guard),
            policy=policy,
            spool_dir=self._wiring.endpoints.spool_dir,
            owner=f"{socket.gethostname()}:{os.getpid()}:{self._run_id}",
            run_id=self._run_id,
        )

    def watch_queries(self) -> Watch:
        """Report, later, on what the database operations do from now on."""
        return self._strategy.watch()

    def budget(self) -> Budget:
        """What one op may spend, from now on."""
        policy = self._wiring.settings.policy()
        return Budget(seconds=policy.op_seconds, rows=policy.rows_per_run)


@dg.resource(
    config_schema={},
    required_resource_keys={"wiring", "database", "openai", "query_strategy"},
    description="Everything that a stage works with: database operations, API client, policy.",
)
def pipeline(context: dg.InitResourceContext) -> PipelineResource:
    """One for each process that runs ops."""
    return PipelineResource(
        wiring=context.resources.wiring,
        database=context.resources.database,
        openai=context.resources.openai,
        strategy=context.resources.query_strategy,
        run_id=context.run.run_id if context.run else "",
    )
