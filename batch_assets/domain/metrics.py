"""The metrics of one run: what is kept, plotted and judged. Every one is there on every run.

Each class is an asset in the Catalog and a group of columns in `batch_assets.run_metric`; a field's
name is the metadata key and the column, and ends in its unit. A field is a whole number or a float;
`None` stands for what this run could not know, and is a gap in a plot, never a zero. What each
metric means is written here alone: the Catalog shows it, and `docs/metrics.md` is compared with it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from types import NoneType
from typing import Any, Final, get_args, get_type_hints


def _level(meaning: str, default: float | None) -> Any:
    """A metric of a moment, or of the run as a whole."""
    return field(default=default, metadata={"meaning": meaning, "adds_up": False})


def _unknown(meaning: str) -> Any:
    """A level that some runs cannot know."""
    return _level(meaning, None)


def _added(meaning: str, nothing: float) -> Any:
    """A metric of which the runs' figures add up to what all of them did."""
    return field(default=nothing, metadata={"meaning": meaning, "adds_up": True})


def _count(meaning: str) -> Any:
    return _added(meaning, 0)


def _amount(meaning: str) -> Any:
    return _added(meaning, 0.0)


@dataclass(frozen=True, slots=True)
class WholeBacklog:
    """What is still to be done at the end of the run, for all companies together."""

    waiting_requests: int | None = _unknown(
        "Requests of active companies that wait to be sent; unknown if the run could not count them"
    )
    waiting_companies: int | None = _unknown("Active companies that have such requests")
    oldest_wait_seconds: float | None = _unknown("How long the oldest of them has waited")
    requests_in_batches: int | None = _unknown("Requests that are in a batch and have no outcome")
    batches_in_flight: int | None = _unknown("Batches that the server has and has not ended")
    batches_to_read: int | None = _unknown("Ended batches whose results are not all read")
    following_requests: int | None = _unknown(
        "Requests that ask the same as another open one, and will share its answer"
    )
    retry_requests: int | None = _unknown("Failed requests with a date on which they wait again")
    dead_letters: int | None = _unknown("Failed requests that nobody tries again unasked")


@dataclass(frozen=True, slots=True)
class Throughput:
    """What the run moved, and how long each stage took."""

    submitted_batches: int = _count("Batches that the server took")
    submitted_requests: int = _count("Requests in them")
    finalized_batches: int = _count("Batches whose results were read to their end")
    failed_batches: int = _count("Those of them that the server had refused or failed whole")
    completed_requests: int = _count("Requests whose analysis was written")
    shared_requests: int = _count("Requests that got the answer of one that asked the same")
    failed_requests: int = _count("Requests whose answer failed: to be retried, or dead")
    check_seconds: float = _amount("Asking how the batches are, and recovering what was cut short")
    ingest_seconds: float = _amount("Reading results")
    retry_seconds: float = _amount("Synchronous requests, and letting failed requests wait again")
    load_seconds: float = _amount("Finding the active companies")
    fetch_seconds: float = _amount("Noticing new requests, and seeing what is due")
    submit_seconds: float = _amount("Claiming, uploading and creating batches")
    run_seconds: float = _amount("From the run's first moment to this record")
    requests_per_second: float = _level(
        "Submitted, completed and failed requests over the seconds of the stages that moved them",
        0.0,
    )


@dataclass(frozen=True, slots=True)
class QueryUse:
    """What the run asked of the database through the operations that have two implementations."""

    query_statements: int = _count("Statements, with BEGIN and COMMIT, and those of probes")
    query_rows: int = _count("Rows that they moved")
    database_seconds: float = _amount("Spent in them, and in probes")
    query_operations: int = _count("Calls of operations, by whichever implementation")
    optimized_operations: int = _count("Those of them that the optimized implementation did")
    query_fallbacks: int = _count("Those that the original did again, as the optimized had failed")
    original_to_optimized_ratio: float | None = _unknown(
        "Seconds a call of the original over those of the optimized, of the last 20 runs of each, "
        "for operations of which both were measured: above 1 the optimized is faster"
    )


@dataclass(frozen=True, slots=True)
class LookupUse:
    """How the run came by the active companies."""

    active_companies: int = _level("Companies that the run took for active", 0)
    lookup_hits: int = _count("1 if the host's file had an answer that was young enough")
    lookup_misses: int = _count("1 if the database was asked instead")
    lookup_hit_rate_percent: float | None = _unknown("Hits of the last day's runs and this one")
    lookup_age_seconds: float = _level("How old the answer was", 0.0)


@dataclass(frozen=True, slots=True)
class Money:
    """What the answers read in this run have cost, and what of it was wasted."""

    prompt_tokens: int = _count("Tokens of the requests, as the server counted them")
    cached_tokens: int = _count("Those of them that the server had in its cache")
    completion_tokens: int = _count("Tokens of the answers")
    reasoning_tokens: int = _count("Those of them that were spent on reasoning")
    cost_eur: float = _amount("What the answers cost")
    synchronous_cost_eur: float = _amount("What synchronous requests would have cost")
    saved_eur: float = _amount("The difference for the answers that could be used")
    unpriced_answers: int = _count(
        "Answers whose cost is not known, and in no sum: no price list has their model"
    )
    saved_by_sharing_eur: float = _amount(
        "What requests would have cost that got the answer of one that asked the same"
    )
    wasted_duplicates_eur: float = _amount(
        "Second batches of one intent that were found in this run: what they have cost by the "
        "server's word, else an estimate; not in cost_eur"
    )
    wasted_retries_eur: float = _amount(
        "Answers that could not be used: their requests are tried again, or dead"
    )
    wasted_discarded_eur: float = _amount("Answers whose session was deleted meanwhile")
    wasted_abandoned_eur: float = _amount(
        "Answers of batches that were given up, whose requests are bought again; not in cost_eur"
    )
    wasted_unattributed_eur: float = _amount(
        "What was billed and no answer was read for, as the batches' own usage says, or estimated "
        "where it says nothing; not in cost_eur"
    )
    estimate_error_percent: float | None = _unknown(
        "How far off the estimates of batches were, above or below, for the last answers: the "
        "newest 100 of each model and processing type count half, the others less"
    )
    synchronous_requests: int = _count(
        "Requests that the run sent synchronously, at the full price"
    )
    held_by_budget_requests: int = _level(
        "Requests that the run would have sent and that wait, since a budget is spent", 0
    )
    day_cost_eur: float | None = _unknown(
        "Cost of the batches read to their end since midnight UTC, also of what was not read of "
        "them, of what is read of others, and of what abandoned ones have wasted since"
    )
    forecast_cost_error_percent: float | None = _unknown(
        "By how much the batches read to their end in the last day cost more than was foreseen "
        "when they were claimed; below 0 if they cost less"
    )


@dataclass(frozen=True, slots=True)
class Reliability:
    """What went wrong in the run, and what is shut because of that."""

    transient_failures: int = _count("Requests that failed in a way that may pass")
    capacity_failures: int = _count("Requests for which the server had no room")
    server_failures: int = _count(
        "Requests that were put off since the server refused all of their batch"
    )
    permanent_failures: int = _count("Requests that can never work, those never sent among them")
    account_failures: int = _count("Requests that failed because of the key, or its quota")
    indeterminate_failures: int = _count(
        "Requests that died since the run began because nobody can look up what became of a call"
    )
    requeued_requests: int = _count("Failed requests whose retry date had come")
    returned_requests: int = _count(
        "Requests that got no answer, or whose batch was never made: they wait again, unpaid"
    )
    expired_batches: int = _count("Finalized batches that the server had not finished in time")
    cancelled_batches: int = _count("Finalized batches that were cancelled")
    recovered_submissions: int = _count("Interrupted submissions: adopted, or proved absent")
    incomplete_batches: int = _count(
        "Ended batches of which the server has more than it shows: they are looked at again"
    )
    unproved_submissions: int = _count(
        "Interrupted submissions of which the server's lists prove nothing: they stay as they are"
    )
    unknown_batches: int | None = _unknown(
        "Batches and files on the server with this installation's id that this database does not "
        "know: nothing is submitted"
    )
    refused_rows: int = _count("Result lines that belong to no open row of their batch")
    open_breakers: int | None = _unknown("API operations that are not called, or only on trial")
    models_in_cooldown: int | None = _unknown("Models of which nothing is sent for a while")
    failed_companies: int = _count("Companies whose work the run had to leave out")
    unknown_calls_percent: float | None = _unknown(
        "Synchronous requests of the last day of which nobody knows whether they were answered and "
        "paid for; unknown without any"
    )


@dataclass(frozen=True, slots=True)
class Turnaround:
    """How long batches take from submission to the server's word that they ended."""

    turnaround_batches: int | None = _unknown(
        "Batches of ours read to their end in the last day, without those that were given up"
    )
    turnaround_p50_seconds: float | None = _unknown("Half of them took no longer")
    turnaround_p90_seconds: float | None = _unknown("Nine of ten took no longer")
    turnaround_p99_seconds: float | None = _unknown("All but one in a hundred took no longer")
    oldest_in_flight_seconds: float | None = _unknown(
        "How long ago the oldest batch was submitted that has not ended; 0 without one"
    )
    forecast_turnaround_error_percent: float | None = _unknown(
        "By how much longer than foreseen nine of ten of them took at most, each compared with "
        "what was foreseen for nine of ten like it when it was claimed; below 0 if they were "
        "quicker"
    )


@dataclass(frozen=True, slots=True)
class RunMetrics:
    """All metrics of one run."""

    run_id: str
    recorded_at: datetime
    mode: str
    """`true`, `false` or `optimized`; runs of the first version said `auto` and `original`."""
    backlog: WholeBacklog = field(default_factory=WholeBacklog)
    throughput: Throughput = field(default_factory=Throughput)
    queries: QueryUse = field(default_factory=QueryUse)
    company_lookup: LookupUse = field(default_factory=LookupUse)
    money: Money = field(default_factory=Money)
    reliability: Reliability = field(default_factory=Reliability)
    batch_turnaround: Turnaround = field(default_factory=Turnaround)

    def groups(self) -> Iterator[tuple[str, Mapping[str, int | float | None]]]:
        """Each asset's name with its metrics by key, in the order of declaration."""
        for name in GROUPS:
            yield name, asdict(getattr(self, name))

    def by_key(self) -> dict[str, int | float | None]:
        """All metrics by key."""
        return {key: value for _, group in self.groups() for key, value in group.items()}


GROUPS = {
    "backlog": WholeBacklog,
    "throughput": Throughput,
    "queries": QueryUse,
    "company_lookup": LookupUse,
    "money": Money,
    "reliability": Reliability,
    "batch_turnaround": Turnaround,
}
"""The class of each group of metrics, by the asset's name."""

PLOTTED: Final[Mapping[str, tuple[str, ...]]] = {
    "backlog": (
        "waiting_requests",
        "oldest_wait_seconds",
        "requests_in_batches",
        "retry_requests",
        "dead_letters",
    ),
    "throughput": (
        "submitted_requests",
        "completed_requests",
        "failed_requests",
        "requests_per_second",
        "run_seconds",
    ),
    "queries": (
        "query_statements",
        "query_rows",
        "database_seconds",
        "original_to_optimized_ratio",
    ),
    "company_lookup": ("active_companies", "lookup_hit_rate_percent", "lookup_age_seconds"),
    "money": (
        "day_cost_eur",
        "cost_eur",
        "saved_eur",
        "wasted_retries_eur",
        "prompt_tokens",
        "completion_tokens",
    ),
    "reliability": (
        "transient_failures",
        "permanent_failures",
        "capacity_failures",
        "returned_requests",
        "expired_batches",
        "open_breakers",
    ),
    "batch_turnaround": (
        "turnaround_batches",
        "turnaround_p50_seconds",
        "turnaround_p90_seconds",
        "oldest_in_flight_seconds",
    ),
}
"""What a person reads as a line over runs, by the asset's name; all else is a figure of a table."""


@dataclass(frozen=True, slots=True)
class MetricType:
    """What a metric may be, and what it means."""

    is_whole: bool
    may_be_unknown: bool
    adds_up: bool
    """Whether its sum over runs says anything."""
    meaning: str


def metric_types() -> dict[str, MetricType]:
    """The type of every metric, by its key; keys are unique over all groups."""
    return {
        one.name: MetricType(
            is_whole=int in kinds,
            may_be_unknown=NoneType in kinds,
            adds_up=one.metadata["adds_up"],
            meaning=one.metadata["meaning"],
        )
        for group in GROUPS.values()
        for hints in [get_type_hints(group)]
        for one in fields(group)
        for kinds in [get_args(hints[one.name]) or (hints[one.name],)]
    }
