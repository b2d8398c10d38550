"""What the stages are given, put together for one run, and the resources of every job."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import dagster as dg
from pydantic import PrivateAttr

from batch_assets.domain.breakers import Breaker
from batch_assets.domain.policy import Policy
from batch_assets.resources.company_lookup import CompanyLookupResource
from batch_assets.resources.connections import DatabaseResource, OpenAIResource, WiringResource
from batch_assets.resources.query_strategy import QueryStrategyResource
from batch_assets.stages.pipeline import Budget, Pipeline
from batch_assets.stages.reports import Reports
from batch_assets.stages.run_state import StageState, grown, values_of
from batch_assets.store.breakers import Breakers
from batch_assets.store.company_accounts import CompanyAccounts
from batch_assets.store.counting import statements_sent
from batch_assets.store.lookups import Lookups
from batch_assets.store.registry import WorkSnapshot
from batch_assets.store.strategy import StoredMode, StoredModes, Watch
from batch_assets.telemetry.tracing import flush_traces, start_tracing
from batch_assets.wiring import PipelineParts, account_of, build_pipeline


class StageRun:
    """One op's stage at work in this process: measured, and told of in the end."""

    def __init__(
        self, op: str, run_id: str, reports: Reports, strategy: QueryStrategyResource
    ) -> None:
        self._op = op
        self._run_id = run_id
        self._reports = reports
        self._strategy = strategy
        self._began_at = time.time()
        self._seconds = 0.0
        self._sent_before = statements_sent()
        self._used_before = strategy.use()
        self.is_done = False
        """See `StageState`."""
        self.companies: Mapping[str, str] = {}
        self.due_company_ids: Sequence[str] = []
        self.behind: Sequence[str] = ()
        """See `RunSummary`."""
        self.snapshot: WorkSnapshot | None = None

    def note(self, report: object) -> None:
        """Keep a report that is no stage's own."""
        self._reports.note(report)

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Measure what the stage does; one that raises has taken its time, too."""
        began = time.monotonic()
        try:
            yield
        finally:
            self._seconds += time.monotonic() - began

    @property
    def statements(self) -> int:
        """How many were sent on LiveDash's database since it began."""
        return statements_sent() - self._sent_before

    def state(self, *, failure: str = "", blocked_by: str = "") -> StageState:
        """What it has come to."""
        return StageState(
            op=self._op,
            run_id=self._run_id,
            began_at=self._began_at,
            seconds=self._seconds,
            statements=self.statements,
            queries=grown(self._used_before, self._strategy.use()),
            reports=values_of(self._reports.all()),
            failure=failure,
            is_done=self.is_done,
            blocked_by=blocked_by,
            companies=self.companies,
            due_company_ids=self.due_company_ids,
            snapshot=self.snapshot,
        )


class PipelineResource(dg.ConfigurableResource[None]):
    """Everything that a stage works with: database operations, API client, policy.

    The stages' `Pipeline` is put together when first asked for; one for each process that runs ops.
    """

    wiring: dg.ResourceDependency[WiringResource]
    database: dg.ResourceDependency[DatabaseResource]
    openai: dg.ResourceDependency[OpenAIResource]
    query_strategy: dg.ResourceDependency[QueryStrategyResource]

    _run_id: str = PrivateAttr(default="")
    _pipelines: dict[str, Pipeline] = PrivateAttr(default_factory=dict)
    _reports: Reports = PrivateAttr(default_factory=Reports)
    _first: WorkSnapshot | None = PrivateAttr(default=None)
    """The first snapshot that an op of this process was given; there is none before that."""
    _last: WorkSnapshot | None = PrivateAttr(default=None)
    """The last one."""

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Know which run this is, and have the stored mode taken from the first snapshot."""
        self._run_id = context.run.run_id if context.run else ""
        self.query_strategy.learn_stored_mode(self._stored_mode)
        start_tracing()

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:  # noqa: ARG002
        """Deliver the spans that this process has still got, if it has any."""
        flush_traces()

    @property
    def run_id(self) -> str:
        """The run's id; empty outside of one."""
        return self._run_id

    def begin(self, op: str) -> StageRun:
        """Begin the stage of an op: what the pipeline's stages note from now on is its own."""
        self._reports.clear()
        return StageRun(op, self._run_id, self._reports, self.query_strategy)

    def read_snapshot(self, account_name: str | None = None) -> WorkSnapshot:
        """See what there is to do at this moment, for the stages that an op runs; one statement.

        By default for the account whose run this is.

        The first one that this process has also says what is known of the circuit breakers, and in
        which mode the run works, without a statement for either.

        Raises:
            LiveDashChangedError: LiveDash's tables lack what a run needs.
        """
        if account_name not in {None, self.account_name}:
            return self.pipeline_of(str(account_name)).read_snapshot()
        return self._begin_with(self.pipeline.read_snapshot())

    def snapshot_after(self, before: StageState) -> WorkSnapshot:
        """What the op before has handed on of what there is to do, or what there is now.

        A run that is executed again from its failure is given what the former one has seen, which
        nothing goes by.

        Raises:
            LiveDashChangedError: LiveDash's tables lack what a run needs.
        """
        if before.snapshot is None or before.run_id != self._run_id:
            return self.read_snapshot()
        return self._begin_with(before.snapshot)

    def last_snapshot(self) -> WorkSnapshot:
        """What the last op of this process that was given a snapshot went by, or what there is now.

        For the first op of a branch that goes by it: in one process the other branch has been gone
        through by then, and an idle run needs a statement less.

        Raises:
            LiveDashChangedError: LiveDash's tables lack what a run needs.
        """
        return self.read_snapshot() if self._last is None else self._last

    def _begin_with(self, snapshot: WorkSnapshot) -> WorkSnapshot:
        self._first = self._first or snapshot
        self._last = snapshot
        return snapshot

    def _stored_mode(self) -> StoredMode | None:
        """As a snapshot has shown it; in a process that was given none, by a statement."""
        if self._first is None:
            return StoredModes(self.database.engine).read()
        return self._first.stored_mode

    def _known_breakers(self) -> Sequence[Breaker]:
        """The same of the breakers."""
        if self._first is None:
            return Breakers(self.database.engine, self.account_name).all()
        return self._first.breakers

    @property
    def pipeline(self) -> Pipeline:
        """The run's pipeline; raises what the resources that it is made of raise."""
        return self.pipeline_of(self.account_name)

    def pipeline_of(self, account_name: str) -> Pipeline:
        """That of an account: a control works with the one of its batch or company.

        Raises:
            ConfigurationError: There is no such account in the settings.
        """
        if account_name not in self._pipelines:
            settings, endpoints = self.wiring.of_account(account_name)
            is_own = account_name == self.account_name
            self._pipelines[account_name] = build_pipeline(
                PipelineParts(
                    endpoints=endpoints,
                    policy=settings.policy(),
                    engine=self.database.engine,
                    queries=self.query_strategy.queries,
                    open_api=lambda guard: self.openai.api(guard, account_name),
                    purpose=self.run_id,
                    run_id=self.run_id,
                    reports=self._reports,
                    known_breakers=self._known_breakers if is_own else None,
                )
            )
        return self._pipelines[account_name]

    def pipeline_for(self, *, batch: str | None = None, company: str | None = None) -> Pipeline:
        """That of the account with which a batch was made, or which serves a company.

        A statement, where there are several accounts. What is not found has the run's own.
        """
        if len(self.account_names) == 1:
            return self.pipeline
        accounts = CompanyAccounts(self.database.engine)
        if batch is not None:
            return self.pipeline_of(accounts.of_batch(batch) or self.account_name)
        found = Lookups(self.database.engine).companies(company or "")
        return self.pipeline_of(accounts.of_company(found[0].id) if found else self.account_name)

    @property
    def account_names(self) -> tuple[str, ...]:
        """All accounts, the default first."""
        return self.wiring.settings.account_names

    @property
    def account(self) -> str:
        """Whose batches the run makes; there need be no client for it, nor one that can be made."""
        endpoints = self.wiring.endpoints
        return account_of(endpoints)

    @property
    def account_name(self) -> str:
        """What settings call it."""
        return self.wiring.endpoints.account_name

    @property
    def policy(self) -> Policy:
        """That of the run, as its server bounds it."""
        return self.wiring.endpoints.profile.bound(self.wiring.settings.policy())

    @property
    def query_mode(self) -> str:
        """How this run works on the database: `true`, `false` or `optimized`."""
        return self.query_strategy.mode_of_run

    def watch_queries(self) -> Watch:
        """Report, later, on what the database operations do from now on."""
        return self.query_strategy.watch()

    def budget(self) -> Budget:
        """What one op may spend, from now on."""
        return Budget.of_op(self.wiring.settings.policy())


def default_resources(wiring: WiringResource | None = None) -> dict[str, object]:
    """Make the resources of every job; on another wiring than the environment's if given.

    They are configured at launch: so Dagster makes each once in a process, and gives the same to
    the ops and to the resources that hold it.
    """
    given = wiring or WiringResource.configure_at_launch()
    database = DatabaseResource.configure_at_launch(wiring=given)
    openai = OpenAIResource.configure_at_launch(wiring=given)
    query_strategy = QueryStrategyResource.configure_at_launch(wiring=given, database=database)
    return {
        "wiring": given,
        "database": database,
        "openai": openai,
        "query_strategy": query_strategy,
        "company_lookup": CompanyLookupResource.configure_at_launch(
            wiring=given, query_strategy=query_strategy
        ),
        "pipeline": PipelineResource.configure_at_launch(
            wiring=given, database=database, openai=openai, query_strategy=query_strategy
        ),
    }
