"""What the alerts are judged by, and what is said of each."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum

from batch_assets.domain.budgets import BudgetUse
from batch_assets.domain.report_data import PeriodMoney

Number = int | float | None


class Severity(StrEnum):
    """How bad it is; the names are those of Dagster's asset checks."""

    WARN = "WARN"
    """Somebody should look at it today."""
    ERROR = "ERROR"
    """Work or money is being lost, or nothing goes on."""


class Outcome(StrEnum):
    """What became of a change that was handed to a receiver."""

    DELIVERED = "delivered"
    PENDING = "pending"
    """A later run tries again."""
    REFUSED = "refused"
    """It is not tried again under the same settings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """From when on each alert is raised; `Settings.alert_limits()` makes it. `None`: never."""

    window_minutes: float
    min_requests: int
    """A rate over fewer requests, operations or lookups says nothing."""
    error_rate_percent: float
    batch_age_seconds: float
    batch_timeout_seconds: float
    """When a batch should have been cancelled."""
    requests_per_second: float
    lookup_hit_rate_percent: float
    has_company_cache: bool
    fallback_rate_percent: float
    new_dead_letters: int
    dead_letters: int
    day_cost_eur: float | None
    max_wait_seconds: float
    """When a company's requests are due, however few they are."""
    overdue_seconds: float

    @property
    def window(self) -> str:
        """The time that sums are over, in words."""
        return f"the last {self.window_minutes:g} minutes"

    @property
    def not_recorded(self) -> str:
        """That no run has recorded what is asked for."""
        return f"Not enough to say: no run within {self.window} has recorded it."


@dataclass(frozen=True, slots=True)
class AlertState:
    """An alert that was raised once, as it is now; all times are the database's."""

    name: str
    is_raised: bool
    severity: Severity
    summary: str
    """What was seen when it was raised or resolved."""
    since: datetime
    """When it was."""
    pending: tuple[str, ...] = ()
    """The names of the receivers, among those that are asked for, that this change waits for."""


@dataclass(frozen=True, slots=True)
class Recent:
    """What one look at the metrics of the recent runs has seen; `None` is what nobody knows.

    Sums are over the window, gauges are the newest run's if that is within the window.
    """

    judged_at: datetime
    installation_id: str
    database: str
    runs: int = 0
    """Runs within the window whose metrics are known."""
    completed_requests: int | None = None
    failed_requests: int | None = None
    moved_requests: int | None = None
    """Submitted, completed and failed ones, in runs that moved any."""
    moving_seconds: float | None = None
    """What reading and submitting took in these runs."""
    failed_batches: int | None = None
    query_operations: int | None = None
    query_fallbacks: int | None = None
    open_breakers: int | None = None
    """The most that a run of the last 15 minutes has seen."""
    day_lookups: int | None = None
    lookup_hit_rate_percent: float | None = None
    oldest_wait_seconds: float | None = None
    waiting_requests: int | None = None
    dead_letters: int | None = None
    oldest_in_flight_seconds: float | None = None
    batches_in_flight: int | None = None
    turnaround_batches: int | None = None
    turnaround_p99_seconds: float | None = None
    day_cost_eur: float | None = None
    day_unpriced_answers: int = 0
    """Answers of this UTC day whose cost is not known, and not in it."""
    new_dead_letters: int = 0
    """Counted in the table itself, up to 10,000."""
    in_cooldown_after_failed_runs: int = 0
    """After how many the schedule is in cooldown, or was when this run was tried."""
    livedash_acts: Mapping[str, int] = field(default_factory=dict)
    """What LiveDash's own timers were seen to do lately: how many acts of each."""
    bought_twice: int = 0
    """Requests among these that we have bought, too."""
    unknown_batches: int = 0
    """Batches and files on the server with our id that the database does not know."""
    doubt: str | None = None
    """Why the server's lists do not tell whether this is the only database of its id."""
    unresolved_seconds: float = 0.0
    """For how long the oldest interrupted submission has been looked for."""
    livedash_lacks: Sequence[str] = ()
    """Tables and columns that a run needs and that LiveDash does not have any more."""
    budgets: Sequence[BudgetUse] = ()
    """Every budget, with what of it is spent at this moment."""
    days: Mapping[date, PeriodMoney] = field(default_factory=dict)
    """What was sent on each day of this month (UTC) has cost, where that was asked for."""
    held: Collection[str] = ()
    """The reasons for which the run that asks has held requests; nobody else knows any."""
    account_refused: bool | None = None
    """Whether the API has refused the account in the run that asks; as little."""
    states: Mapping[str, AlertState] = field(default_factory=dict)
    """Every alert that was ever raised, by name."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Who or what is behind a raised alert; which fields are used depends on the alert."""

    alert: str
    company_id: str | None = None
    company: str | None = None
    subject: str | None = None
    """A batch's id, an operation or a failure's code."""
    label: str | None = None
    amount: float | None = None
    total: float | None = None


@dataclass(frozen=True, slots=True)
class Measure:
    """What a rule has measured, and the sentence for it."""

    value: float | None
    """`None`: there is not enough to say."""
    limit: float | None
    """Beyond it the alert is raised. `None`: the alert is switched off."""
    sentence: str
    numbers: Mapping[str, Number]
    """Every key every time."""
    severity: Severity
    is_floor: bool = False
    """The value must not be below the limit instead of above."""


@dataclass(frozen=True, slots=True)
class CheckOutcome:
    """How an asset check has ended that is evaluated elsewhere, and is reported like an alert."""

    name: str
    passed: bool
    severity: Severity
    description: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether one alert is raised, and all that is said about it."""

    name: str
    is_raised: bool
    is_known: bool
    """False: there is not enough to say, and it stays as it was."""
    severity: Severity
    summary: str
    numbers: Mapping[str, Number]
    faults: tuple[str, ...] = ()
    """Who or what is behind it, a sentence each."""
    advice: str = ""
    """What to do, with the exact command; empty while it is not raised."""


@dataclass(frozen=True, slots=True)
class Change:
    """An alert that is raised or resolved from now on, or raised more severely."""

    name: str
    is_raised: bool
    severity: Severity
    summary: str
