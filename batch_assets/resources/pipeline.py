"""What the stages are given, put together for one run."""

import os
import socket
from functools import cached_property

import dagster as dg
from pydantic import PrivateAttr

from batch_assets.domain.metrics import QueryUse
from batch_assets.resources.connections import DatabaseResource, OpenAIResource, WiringResource
from batch_assets.resources.query_strategy import QueryStrategyResource
from batch_assets.stages.circuit_breakers import CircuitBreakerGuard
from batch_assets.stages.figures import RunFigures
from batch_assets.stages.pipeline import Budget, Pipeline
from batch_assets.stages.result_writer import IngestReport
from batch_assets.stages.submit import SubmitReport
from batch_assets.store.breakers import Breakers
from batch_assets.store.counting import statements_sent
from batch_assets.store.registry import Registry
from batch_assets.store.strategy import StoredMode, StoredModes, Watch


class PipelineResource(dg.ConfigurableResource[None]):
    """Everything that a stage works with: database operations, API client, policy.

    The stages' `Pipeline` is put together when first asked for; one for each process that runs ops.
    """

    wiring: dg.ResourceDependency[WiringResource]
    database: dg.ResourceDependency[DatabaseResource]
    openai: dg.ResourceDependency[OpenAIResource]
    query_strategy: dg.ResourceDependency[QueryStrategyResource]

    _run_id: str = PrivateAttr(default="")
    _figures: RunFigures = PrivateAttr(default_factory=RunFigures)
    _sent_before: int = PrivateAttr(default_factory=statements_sent)

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Know which run this is, and read the stored mode with what a run begins with."""
        self._run_id = context.run.run_id if context.run else ""
        self.query_strategy.learn_stored_mode(self._stored_mode)

    @property
    def run_id(self) -> str:
        """The run's id; empty outside of one."""
        return self._run_id

    @property
    def figures(self) -> RunFigures:
        """What the ops have done up to now, for the one that records it."""
        return self._figures

    @property
    def tags(self) -> dict[str, object]:
        """What the list of runs says of this one. Statements are those on LiveDash's database up to
        now."""
        sent, read = self.figures.of(SubmitReport), self.figures.of(IngestReport)
        return {
            "mode": self.query_strategy.mode_of_run.value,
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
        return StoredModes(self.database.engine).read()

    @cached_property
    def pipeline(self) -> Pipeline:
        """The run's pipeline; raises what the resources that it is made of raise."""
        endpoints = self.wiring.endpoints
        policy = endpoints.profile.bound(self.wiring.settings.policy())
        guard = CircuitBreakerGuard(
            Breakers(self.database.engine), policy, known=lambda: self.pipeline.snapshot.breakers
        )
        return Pipeline(
            queries=self.query_strategy.queries,
            registry=Registry(self.database.engine, policy.external_quiet_seconds),
            api=self.openai.api(guard),
            policy=policy,
            spool_dir=endpoints.spool_dir,
            owner=f"{socket.gethostname()}:{os.getpid()}:{self.run_id}",
            run_id=self.run_id,
            figures=self.figures,
        )

    @property
    def query_mode(self) -> str:
        """How this run works on the database: `true`, `false` or `optimized`."""
        return self.query_strategy.mode_of_run

    def query_use(self) -> QueryUse:
        """What the database operations did up to now."""
        return self.query_strategy.use()

    def watch_queries(self) -> Watch:
        """Report, later, on what the database operations do from now on."""
        return self.query_strategy.watch()

    def budget(self) -> Budget:
        """What one op may spend, from now on."""
        return Budget.of_op(self.wiring.settings.policy())
