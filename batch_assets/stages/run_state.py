"""What a run has done, stage by stage: what each op hands on, and what that adds up to.

Nothing of it is kept in a process's memory: each op may run in a process of its own, on a host of
its own. What is handed on are plain values (`dict`, `list`, `str`, numbers) that every IO manager
of Dagster's can carry. They are for metrics, tags and sentences, and say how little there is to do:
what is sent, read or deleted is decided by the database.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final, Self, TypeVar

from pydantic import TypeAdapter

from batch_assets.domain.errors import ACCOUNT_REFUSED
from batch_assets.domain.health import Hold
from batch_assets.domain.metrics import LookupUse, QueryUse
from batch_assets.stages.abandoned import AbandonedReport
from batch_assets.stages.plan import DueReport
from batch_assets.stages.recover import RecoverReport
from batch_assets.stages.result_writer import IngestReport
from batch_assets.stages.retry import RetryReport
from batch_assets.stages.submit import SubmitReport
from batch_assets.stages.synchronous_requests import SynchronousRows
from batch_assets.store.registry import WorkSnapshot

STAGES: Final[Mapping[str, str]] = {
    "check_batch_statuses": "check",
    "ingest_results": "ingest",
    "retry_failed_requests": "retry",
    "load_companies": "load",
    "fetch_pending_requests": "fetch",
    "submit_batches": "submit",
}
"""The stage of each op, in their order; its seconds are a metric."""

T = TypeVar("T")

_KINDS: Final[Mapping[str, TypeAdapter[Any]]] = {
    kind.__name__: TypeAdapter(kind)
    for kind in (
        RecoverReport,
        IngestReport,
        AbandonedReport,
        SynchronousRows,
        RetryReport,
        LookupUse,
        DueReport,
        SubmitReport,
    )
}
"""The reports that metrics are made of, by name."""


def values_of(reports: Iterable[object]) -> dict[str, Any]:
    """Those of the reports that metrics are made of, as plain values by the kind's name."""
    named = ((type(report).__name__, report) for report in reports)
    return {
        name: _KINDS[name].dump_python(report, mode="json")
        for name, report in named
        if name in _KINDS
    }


@dataclass(frozen=True, slots=True)
class StageState:
    """What one op has come to, in whatever process it ran."""

    op: str
    began_at: float
    """By the clock of its host, in seconds since 1970."""
    run_id: str = ""
    seconds: float = 0.0
    """What the stage has taken, without the time in which its op reported to Dagster."""
    statements: int = 0
    """Those on LiveDash's database."""
    queries: QueryUse = field(default_factory=QueryUse)
    reports: Mapping[str, Any] = field(default_factory=dict)
    """See `values_of`."""
    failure: str = ""
    """Why it has failed, in a sentence."""
    is_done: bool = False
    """Whether it did all its work, and failed for what came of that: those after it do theirs."""
    blocked_by: str = ""
    """The op that has failed before it, so that it did nothing."""
    companies: Mapping[str, str] = field(default_factory=dict)
    """The names of the active companies by their ids, for the ops after it."""
    due_company_ids: Sequence[str] = field(default_factory=list)
    """The companies whose requests are due, for the op after it."""
    snapshot: WorkSnapshot | None = None
    """What there was to do when it had done its work, for the op after it in the same run."""

    def as_value(self) -> dict[str, Any]:
        """The same as what ops hand on."""
        found: dict[str, Any] = _STATE.dump_python(self, mode="json")
        return found

    @classmethod
    def of_value(cls, value: Mapping[str, Any]) -> "StageState":
        """What an op has handed on.

        Raises:
            ValidationError: No op has made it.
        """
        return _STATE.validate_python(value)

    @property
    def stopped_by(self) -> str:
        """The op whose failure keeps those after this one from beginning; empty if they may."""
        return self.blocked_by or (self.op if self.failure and not self.is_done else "")


_STATE: Final = TypeAdapter(StageState)


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What the last ops of a run have to know of all before them."""

    began_at: float
    failures: Mapping[str, str] = field(default_factory=dict)
    """The sentence of each op that has failed."""
    companies: int = 0
    requests: int = 0
    """Those that were sent."""
    results: int = 0
    statements: int = 0
    held: Sequence[str] = ()
    """Why requests were held that could be sent otherwise."""
    hold: Hold | None = None
    """Why nothing may be submitted from this database, as the run has last seen it."""
    behind: Sequence[str] = ()
    """The companies whose oldest request has waited longest, with how long, for people."""

    def as_value(self) -> dict[str, Any]:
        """The same as what ops hand on."""
        found: dict[str, Any] = _SUMMARY.dump_python(self, mode="json")
        return found

    @classmethod
    def of_value(cls, value: Mapping[str, Any]) -> "RunSummary":
        """What an op has handed on.

        Raises:
            ValidationError: No op has made it.
        """
        return _SUMMARY.validate_python(value)

    @property
    def account_refused(self) -> bool | None:
        """Whether the API has refused the account in this run; `None`: it was asked for nothing."""
        if any(one.startswith(ACCOUNT_REFUSED) for one in self.failures.values()):
            return True
        return False if self.requests or self.results else None

    @property
    def seconds(self) -> float:
        """How long ago the run began."""
        return max(0.0, time.time() - self.began_at)

    @property
    def look_back_seconds(self) -> float:
        """The same, and what happened in the run's first moment is in it for certain."""
        return self.seconds + 1.0


_SUMMARY: Final = TypeAdapter(RunSummary)


class RunState:
    """What the stages of one run have come to."""

    def __init__(self, stages: Sequence[StageState]) -> None:
        self._stages = stages

    @classmethod
    def of_values(cls, values: Iterable[Mapping[str, Any]], run_id: str = "") -> Self:
        """Put together what the ops of one run have handed on.

        A run that is executed again from its failure is given what the former one had done, too.
        That is left out: it was counted there.
        """
        stages = map(StageState.of_value, values)
        return cls([stage for stage in stages if stage.run_id == run_id])

    def of(self, kind: type[T]) -> T:
        """The report of this kind, or an empty one if its stage did not come to it."""
        return self.found(kind) or kind()

    def found(self, kind: type[T]) -> T | None:
        """The report of this kind, if there is one."""
        for stage in self._stages:
            if kind.__name__ in stage.reports:
                found = _KINDS[kind.__name__].validate_python(stage.reports[kind.__name__])
                return found if isinstance(found, kind) else None
        return None

    @property
    def stage_seconds(self) -> dict[str, float]:
        """What each stage has taken; all of them are there, zeros too."""
        taken = {stage.op: stage.seconds for stage in self._stages}
        return {stage: taken.get(op, 0.0) for op, stage in STAGES.items()}

    @property
    def queries(self) -> QueryUse:
        """What all stages have asked of the database, added up."""
        return added_up([stage.queries for stage in self._stages])

    def summary(self) -> RunSummary:
        """What the last ops have to know."""
        sent, read = self.of(SubmitReport), self.of(IngestReport)
        synchronous = self.of(RetryReport).synchronous
        return RunSummary(
            began_at=min((stage.began_at for stage in self._stages), default=time.time()),
            failures={stage.op: stage.failure for stage in self._stages if stage.failure},
            companies=len(sent.company_ids | read.company_ids),
            requests=sent.requests,
            results=read.rows.completed + read.failures.total(),
            statements=sum(stage.statements for stage in self._stages),
            held=sorted({*sent.held, *synchronous.synchronous_held}),
            hold=self._hold,
        )

    @property
    def _hold(self) -> Hold | None:
        """By the newest snapshot that a stage has handed on, as a rule the one of submitting."""
        seen = [stage.snapshot for stage in self._stages if stage.snapshot is not None]
        return seen[-1].installation.hold if seen else None


def added_up(uses: Sequence[QueryUse]) -> QueryUse:
    """The sums of what they count; what is no sum is not known."""
    return QueryUse(
        **{
            one.name: sum(getattr(use, one.name) for use in uses)
            for one in fields(QueryUse)
            if one.name != _NO_SUM
        }
    )


def grown(before: QueryUse, after: QueryUse) -> QueryUse:
    """What was done between two moments."""
    return QueryUse(
        **{
            one.name: getattr(after, one.name) - getattr(before, one.name)
            for one in fields(QueryUse)
            if one.name != _NO_SUM
        }
    )


_NO_SUM: Final = "original_to_optimized_ratio"
