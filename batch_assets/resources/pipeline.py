"""What the stages are given, put together for one run."""

import os
import socket
from functools import cached_property

import dagster as dg

from batch_assets.domain.metrics import QueryUse
from batch_assets.resources.database import DatabaseResource
from batch_assets.resources.openai import OpenAIResource
from batch_assets.resources.query_strategy import QueryStrategyResource
from batch_assets.resources.wiring import WiringResource
from batch_assets.stages.circuit_breakers import CircuitBreakerGuard
from batch_assets.stages.figures import RunFigures
from batch_assets.stages.pipeline import Budget, Pipeline
from batch_assets.stages.result_writer import IngestReport
from batch_assets.stages.submit import SubmitReport
from batch_assets.store.breakers import Breakers
from batch_assets.store.counting import statements_sent
from batch_assets.store.registry import Registry
from batch_assets.store.strategy import StoredMode, StoredModes, Watch


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
        self.run_id = run_id
        self.figures = RunFigures()
        """What the ops have done up to now, for the one that records it."""
        self._sent_before = statements_sent()
        strategy.learn_stored_mode(self._stored_mode)

    @property
    def tags(self) -> dict[str, object]:
        """What the list of runs says of this one. Statements are those on LiveDash's database up to
        now."""
        sent, read = self.figures.of(SubmitReport), self.figures.of(IngestReport)
        return {
            "mode": self._strategy.mode.value,
            "companies": len(sent.company_ids | read.company_ids),
            "requests": sent.requests,
            "results": read.rows.completed + read.failures.total(),
            "statements": statements_sent() - self._sent_before,
        }

    def _stored_mode(self) -> StoredMode | None:
        """From the snapshot with which a run begins; where there is no pipeline, by a statement.

        What needs the database alone goes on without a key that can be used.
        """
        if "pipeline" in self.__dict__:
            return self.pipeline.snapshot.stored_mode
        return StoredModes(self._database.engine).read()

    @cached_property
    def pipeline(self) -> Pipeline:
        """The run's pipeline; raises what the resources that it is made of raise."""
        endpoints = self._wiring.endpoints
        policy = endpoints.profile.bound(self._wiring.settings.policy())
        guard = CircuitBreakerGuard(
            Breakers(self._database.engine), policy, known=lambda: self.pipeline.snapshot.breakers
        )
        return Pipeline(
            queries=self._strategy.queries,
            registry=Registry(self._database.engine, policy.external_quiet_seconds),
            api=self._openai.api(guard),
            policy=policy,
            spool_dir=endpoints.spool_dir,
            owner=f"{socket.gethostname()}:{os.getpid()}:{self.run_id}",
            run_id=self.run_id,
            figures=self.figures,
        )

    @property
    def query_mode(self) -> str:
        """How this run works on the database: `true`, `false` or `optimized`."""
        return self._strategy.mode

    def query_use(self) -> QueryUse:
        """What the database operations did up to now."""
        return self._strategy.use()

    def watch_queries(self) -> Watch:
        """Report, later, on what the database operations do from now on."""
        return self._strategy.watch()

    def budget(self) -> Budget:
        """What one op may spend, from now on."""
        return Budget.of_op(self._wiring.settings.policy())


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
