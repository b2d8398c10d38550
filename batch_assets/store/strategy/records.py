"""The plain records of the strategy: modes and choices, what is measured, what is known of before.

Of each query - a method of `store.protocol.Queries` - it is said here whether it writes, and
whether it has two implementations.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, NamedTuple

READS: Final = frozenset(
    {
        "active_companies",
        "batches_in_flight",
        "conversations",
        "leftovers",
        "model_prices",
        "open_rows",
        "pending_by_company",
        "preview",
        "rows_of",
        "statistics",
    }
)
WRITES: Final = frozenset(
    {
        "adopt_external",
        "claim",
        "expire",
        "finalize",
        "notice_pending",
        "record_absences",
        "record_deleted",
        "record_statuses",
        "record_submissions",
        "record_uploads",
        "release",
        "renew",
        "requeue_due",
        "take_ended",
        "take_unresolved",
        "write_results",
    }
)
HAVE_TWO: Final = (READS | WRITES) - {
    "active_companies",
    "batches_in_flight",
    "leftovers",
    "model_prices",
    "preview",
    "take_ended",
    "take_unresolved",
}
"""The others are one statement in both; the preview is the original's in both."""

# Conversations are as many bytes as a run has, and nothing of the statistics can be left out.
PROBED: Final = (READS & HAVE_TWO) - {"conversations", "statistics"}
"""What may be done a second time, by the other implementation, only to measure it."""


class Implementation(StrEnum):
    """One of the two implementations of `store.protocol.Queries`."""

    OPTIMIZED = "optimized"
    ORIGINAL = "original"

    @property
    def other(self) -> "Implementation":
        """The one that this one is compared with."""
        return Implementation.ORIGINAL if self is self.OPTIMIZED else Implementation.OPTIMIZED


class QueryMode(StrEnum):
    """Which implementation a run is to use: the three words of the switch."""

    AUTO = "true"
    """For each query optimized, unless the measured history speaks against it."""
    ORIGINAL = "false"
    OPTIMIZED = "optimized"

    @classmethod
    def _missing_(cls, value: object) -> "QueryMode | None":
        """What each word was called at first, and is in `batch_assets.query_mode`."""
        return {"auto": cls.AUTO, "original": cls.ORIGINAL}.get(str(value))

    @property
    def stored(self) -> str:
        """The word that `batch_assets.query_mode` has for it."""
        return {self.AUTO: "auto", self.ORIGINAL: "original"}.get(self, self.value)

    @property
    def only(self) -> Implementation | None:
        """The implementation of all queries; `None` if each has its own."""
        return None if self is self.AUTO else Implementation(self.stored)

    @property
    def meaning(self) -> str:
        """What runs use, for people: ends a sentence that begins with "Runs use"."""
        return {
            self.AUTO: "the optimized queries while they are faster and succeed",
            self.ORIGINAL: "the original queries",
            self.OPTIMIZED: "the optimized queries, whatever was measured",
        }[self]


@dataclass(frozen=True, slots=True)
class Toggle:
    """What the operator asked for, by the environment or for one run."""

    mode: QueryMode = QueryMode.AUTO
    writes_in_sets: bool = True
    """False: whatever writes rows is done by the original, in every mode."""
    falls_back: bool = True
    """False: an optimized query that fails has failed."""
    asked_in: str = "the environment"
    """Where the mode was asked for, for people."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The implementation of one query, and a short reason for people."""

    implementation: Implementation
    reason: str


@dataclass(frozen=True, slots=True)
class StoredMode:
    """A mode that goes before the environment's, by whom it was chosen and when."""

    mode: QueryMode
    chosen_by: str
    chosen_at: datetime

    @property
    def asked_in(self) -> str:
        """Where the mode was asked for, for people."""
        at = f"{self.chosen_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        return f"a stored choice ({self.chosen_by}, {at})"


class Purpose(StrEnum):
    """Why a query ran."""

    WORK = "work"
    PROBE = "probe"
    """Only to be measured: its result was thrown away. Its rows are those that were asked for."""


class Key(NamedTuple):
    """What measurements are added up for."""

    query: str
    implementation: Implementation
    purpose: Purpose


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over calls. `failures` are calls that raised, `fallbacks` those the original redid."""

    calls: int = 0
    failures: int = 0
    fallbacks: int = 0
    seconds: float = 0.0
    statements: int = 0
    rows: int = 0

    def __add__(self, other: "Totals") -> "Totals":
        return Totals(
            self.calls + other.calls,
            self.failures + other.failures,
            self.fallbacks + other.fallbacks,
            self.seconds + other.seconds,
            self.statements + other.statements,
            self.rows + other.rows,
        )

    def __sub__(self, other: "Totals") -> "Totals":
        return Totals(
            self.calls - other.calls,
            self.failures - other.failures,
            self.fallbacks - other.fallbacks,
            self.seconds - other.seconds,
            self.statements - other.statements,
            self.rows - other.rows,
        )


LEAST_CALLS: Final = 5
"""Fewer calls of an implementation say nothing, neither of its success nor of its speed."""
SUCCESS_ABOVE: Final = 0.9


@dataclass(frozen=True, slots=True)
class Timing:
    """Calls that succeeded and were work, in the last `SPEED_HOURS`."""

    calls: int = 0
    seconds: float = 0.0
    rows: int = 0


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of one implementation of one query."""

    recent_calls: int = 0
    """The `LAST_CALLS` that were work, since it was last chosen."""
    recent_failures: int = 0
    timing: Timing = field(default_factory=Timing)

    @property
    def fails(self) -> bool:
        """Whether it is known not to succeed often enough."""
        if self.recent_calls < LEAST_CALLS:
            return False
        successes = self.recent_calls - self.recent_failures
        return successes <= SUCCESS_ABOVE * self.recent_calls

    @property
    def record(self) -> str:
        """How often it failed, for people."""
        return f"failed in {self.recent_failures} of its last {self.recent_calls} calls"


@dataclass(frozen=True, slots=True)
class PairedProbes:
    """Both implementations of one query on the same, in the `LAST_PROBES`."""

    probes: int
    ratio: float
    """The original's time as a multiple of the optimized one's: the median."""


@dataclass(frozen=True, slots=True)
class Stay:
    """The choice that is in force, and since when."""

    implementation: Implementation
    seconds: float


@dataclass(frozen=True, slots=True)
class Past:
    """What earlier processes found out about one query."""

    evidence: Mapping[Implementation, Evidence] = field(default_factory=dict)
    paired: PairedProbes | None = None
    probed_seconds_ago: float | None = None
    given_up_seconds_ago: Mapping[Implementation, float] = field(default_factory=dict)
    """When a probe of it failed or took too long."""
    stay: Stay | None = None

    def of(self, implementation: Implementation) -> Evidence:
        """What is known of one implementation."""
        return self.evidence.get(implementation, Evidence())
