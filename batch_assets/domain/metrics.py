"""The figures of one run: what is kept, plotted and judged. Every one is there on every run.

Each class is an asset in the Catalog and a group of columns in `batch_assets.run_metric`; a field's
name is the metadata key and the column, and ends in its unit. A field is a whole number or a float;
`None` stands for what this run could not know, and is a gap in a plot, never a zero.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from types import NoneType
from typing import get_args, get_type_hints


@dataclass(frozen=True, slots=True)
class Backlog:
    """What is still to be done, at the end of the run, of all companies together."""

    waiting_requests: int | None = None
    waiting_companies: int | None = None
    oldest_wait_seconds: float | None = None
    requests_in_batches: int | None = None
    batches_in_flight: int | None = None
    """Batches that the server has and has not ended yet."""
    batches_to_read: int | None = None
    """Batches that have ended and whose results are still to be read."""
    retry_requests: int | None = None
    """Failed requests with a date on which they are tried again."""
    dead_letters: int | None = None


@dataclass(frozen=True, slots=True)
class Throughput:
    """What the run moved, and how long each stage took."""

    submitted_batches: int = 0
    submitted_requests: int = 0
    settled_batches: int = 0
    failed_batches: int = 0
    """Settled batches that the server had refused or failed whole."""
    completed_requests: int = 0
    failed_requests: int = 0
    """Requests that will be tried again, or are dead, because of an answer read in this run."""
    check_seconds: float = 0.0
    ingest_seconds: float = 0.0
    retry_seconds: float = 0.0
    load_seconds: float = 0.0
    fetch_seconds: float = 0.0
    submit_seconds: float = 0.0
    run_seconds: float = 0.0
    requests_per_second: float = 0.0
    """Submitted, completed and failed requests over the seconds of the stages that moved them."""


@dataclass(frozen=True, slots=True)
class QueryUse:
    """What the run asked of the database through the operations that have two implementations."""

    query_statements: int = 0
    query_rows: int = 0
    database_seconds: float = 0.0
    query_operations: int = 0
    """Calls of operations, by whichever implementation."""
    optimized_operations: int = 0
    """Those of them that the optimized implementation did."""
    query_fallbacks: int = 0
    """Those that the original did again, since the optimized one had failed."""
    original_to_optimized_ratio: float | None = None
    """Seconds a call of the original over those of the optimized, over the history of operations
    of which both were measured; above 1 the optimized is faster."""


@dataclass(frozen=True, slots=True)
class LookupUse:
    """How the run came by the active companies."""

    active_companies: int = 0
    lookup_hits: int = 0
    lookup_misses: int = 0
    lookup_hit_rate_percent: float | None = None
    """Over the last day's runs, this one included."""
    lookup_age_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Money:
    """What the answers read in this run have cost, in euros, and what was wasted."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    cost_eur: float = 0.0
    live_cost_eur: float = 0.0
    """What live calls would have cost."""
    saved_eur: float = 0.0
    wasted_duplicates_eur: float = 0.0
    """Second batches of one intent, found in this run; estimated."""
    wasted_retries_eur: float = 0.0
    """Answers that were paid for and could not be used: the request is tried again or dead."""
    wasted_discarded_eur: float = 0.0
    """Answers whose session was deleted meanwhile."""
    live_requests: int = 0
    """Requests that were sent live, at the full price."""
    day_cost_eur: float | None = None
    """All answers read since midnight UTC."""


@dataclass(frozen=True, slots=True)
class Reliability:
    """What went wrong in the run, and what is shut because of that."""

    transient_failures: int = 0
    capacity_failures: int = 0
    permanent_failures: int = 0
    account_failures: int = 0
    indeterminate_failures: int = 0
    """Live calls whose outcome nobody can look up: their requests are dead."""
    requeued_requests: int = 0
    """Failed requests whose retry date had come."""
    returned_requests: int = 0
    """Requests that got no answer, or whose batch was never made: they wait again, unpaid."""
    expired_batches: int = 0
    cancelled_batches: int = 0
    recovered_submissions: int = 0
    """Interrupted submissions that were settled: adopted, or proved absent."""
    refused_rows: int = 0
    """Result lines that belong to no open row of their batch."""
    open_breakers: int | None = None
    resting_models: int | None = None
    failed_companies: int = 0
    """Companies whose work the run had to leave out."""


@dataclass(frozen=True, slots=True)
class Turnaround:
    """How long batches take from submission to the server's word that they ended."""

    turnaround_batches: int | None = None
    """Batches of the last day that the percentiles are over."""
    turnaround_p50_seconds: float | None = None
    turnaround_p90_seconds: float | None = None
    turnaround_p99_seconds: float | None = None
    oldest_in_flight_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class RunMetrics:
    """All figures of one run."""

    run_id: str
    recorded_at: datetime
    mode: str
    """`optimized`, `original` or `auto`."""
    backlog: Backlog = field(default_factory=Backlog)
    throughput: Throughput = field(default_factory=Throughput)
    queries: QueryUse = field(default_factory=QueryUse)
    company_lookup: LookupUse = field(default_factory=LookupUse)
    money: Money = field(default_factory=Money)
    reliability: Reliability = field(default_factory=Reliability)
    batch_turnaround: Turnaround = field(default_factory=Turnaround)

    def groups(self) -> Iterator[tuple[str, Mapping[str, int | float | None]]]:
        """Each asset's name with its figures by key, in the order of declaration."""
        for name in GROUPS:
            yield name, asdict(getattr(self, name))

    def figures(self) -> dict[str, int | float | None]:
        """All figures by key."""
        return {key: value for _, figures in self.groups() for key, value in figures.items()}


GROUPS = {
    "backlog": Backlog,
    "throughput": Throughput,
    "queries": QueryUse,
    "company_lookup": LookupUse,
    "money": Money,
    "reliability": Reliability,
    "batch_turnaround": Turnaround,
}
"""The class of each group of figures, by the asset's name."""


@dataclass(frozen=True, slots=True)
class FigureType:
    """What a figure may be."""

    is_whole: bool
    may_be_unknown: bool


def figure_types() -> dict[str, FigureType]:
    """The type of every figure, by its key; keys are unique over all groups."""
    return {
        name: FigureType(is_whole=int in kinds, may_be_unknown=NoneType in kinds)
        for group in GROUPS.values()
        for name, hint in get_type_hints(group).items()
        for kinds in [get_args(hint) or (hint,)]
    }
