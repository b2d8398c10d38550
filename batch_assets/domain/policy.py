"""The numbers that decide: what a batch holds, how long something waits, when to try again.

Everything here is a pure function of its arguments; the numbers come from the settings.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from batch_assets.domain.due_rule import DueRule
from batch_assets.domain.errors import Failure, FailureKind
from batch_assets.domain.money import Price

WAITED_TOO_LONG: Final = "waited_too_long"
"""The code of a request that was put off, uncounted, for as long as the policy allows."""

UNBOUNDED_TOKENS: Final = 100_000_000_000
"""More than any account may enqueue: only the server bounds them."""

PUBLISHED_HOURLY_BATCHES: Final = 2_000
"""What OpenAI's documentation says of the batches that an account may create in an hour."""

BREAKER_MAX_SECONDS: Final = 30 * 60
"""The longest that a breaker stays open before the next trial."""

_MOST_DOUBLINGS = 64


@dataclass(frozen=True, slots=True)
class Caps:
    """Limits on what may be sent. `None`: no limit. Cost is in EUR.

    A day is a UTC day, and counts everything that was claimed in it, whenever it is read: with what
    it has cost, or as estimated for as long as that is not known.
    """

    run_requests: int | None = None
    day_requests: int | None = None
    company_day_requests: int | None = None
    run_cost_eur: float | None = None
    day_cost_eur: float | None = None
    company_day_cost_eur: float | None = None

    @property
    def limits_cost(self) -> bool:
        """Whether any cost is capped, so that a model without a price cannot be sent."""
        return bool(self.costs_eur)

    @property
    def costs_eur(self) -> list[float]:
        """The caps on cost that there are."""
        costs = (self.run_cost_eur, self.day_cost_eur, self.company_day_cost_eur)
        return [cost for cost in costs if cost is not None]


class Tier(StrEnum):
    """At which price a synchronous request is sent."""

    FLEX = "flex"
    """At that of a batch: it may take twenty minutes, and the server may have no room for it."""
    FULL = "full"


@dataclass(frozen=True, slots=True)
class FlexWait:
    """Which requests are left to the runs that send by flex, and for how long.

    What was asked for waits so long since it was asked for. Any other waits since flex first had no
    room for it, or else since it was due and late.
    """

    models: Sequence[str] = ()
    """As requests name them; without any, nothing waits."""
    late_after_seconds: float = 0.0
    """The age at which a failed request is late."""
    seconds: float = 0.0


NO_WAIT: Final = FlexWait()


@dataclass(frozen=True, slots=True, kw_only=True)
class SynchronousPolicy:
    """Whether requests may be sent synchronously, at which prices, and how many a UTC day.

    Cost is in EUR: as estimated until it is known what was billed. A request that is claimed to be
    sent counts, whatever becomes of it.
    """

    is_on: bool
    tiers: frozenset[Tier] = frozenset(Tier)
    """Those that may be used; flex before the full price, where a model has it."""
    flex_models: frozenset[str] = field(default_factory=frozenset)
    """Models that the server answers for by flex, whatever its price list says."""
    run_requests: int
    day_requests: int
    day_cost_eur: float
    lead_seconds: float
    """How long a request that waits for the next batch is expected to wait for its answer; and how
    long one waits for room by flex."""
    requests_per_claim: int = 50

    def has_left(self, requests: int, cost_eur: float) -> bool:
        """Whether a UTC day that has used up so much may send anything more."""
        return requests < self.day_requests and cost_eur < self.day_cost_eur


@dataclass(frozen=True, slots=True)
class Tried:
    """What a request has been through since it was begun."""

    attempts: int = 0
    """Failures that count."""
    uncounted: int = 0
    """Failures that do not."""
    waited_seconds: float = 0.0
    """Since the first of those."""


_UNCOUNTED = frozenset({FailureKind.CAPACITY, FailureKind.SERVER, FailureKind.ACCOUNT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """All numbers of the pipeline in one frozen record; `Settings.policy()` makes it.

    What has a default here is no setting.
    """

    min_batch_requests: int
    max_wait_seconds: float
    max_batch_requests: int
    max_batch_bytes: int
    default_token_allowance: int
    token_allowances: Mapping[str, int]
    hourly_batches: int
    """Batches that are created in an hour at most."""
    deployments: Mapping[str, str]
    """The model that runs under each name which is none of a model."""
    caps: Caps
    usd_to_eur: float
    model_prices: Mapping[str, Price]
    """What somebody has set, by the model's name."""
    max_attempts: int
    retry_base_seconds: float
    retry_max_seconds: float
    model_cooldown_seconds: float
    lease_seconds: float
    longest_wait_seconds: float
    absence_grace_seconds: float
    reading_grace_seconds: float
    batch_timeout_seconds: float
    stuck_seconds: float
    rows_per_run: int
    op_seconds: float
    bisection_submissions: int
    concurrent_companies: int | None
    """Companies with calls in flight at one time; `None`: as many as the server takes calls."""
    breaker_failures: int
    breaker_seconds: float
    synchronous: SynchronousPolicy

    first_look_seconds: float = 60
    most_look_seconds: float = 60 * 60
    output_expires_seconds: int = 7 * 24 * 60 * 60
    """When the server is to delete what nobody has deleted: a batch's files, input and output."""
    file_wait_seconds: float = 60
    """How long batches that are sent together wait in all for the server to process their files."""
    file_patience_seconds: float = 60 * 60
    """How long a batch waits for its file, over all runs, before its requests wait again."""
    least_hourly_batches: int = 50
    """A creation that is refused after fewer in an hour is not refused for the hour's."""
    longest_request_tokens: int = 2_000_000
    batches_per_claim: int = 250
    rows_per_claim: int = 9_000
    """With so many a claim takes no further batch; no batch is cut for it, nor for the bytes.

    Two looks find about so many, without the companies at which they end.
    """
    bytes_per_claim: int = 500_000_000
    batches_per_poll: int = 5_000
    pages_per_search: int = 50
    pages_per_look: int = 5
    batches_per_read: int = 500
    rows_per_look: int = 5_000
    rows_per_write: int = 3_000
    external_quiet_seconds: float = 15 * 60
    breaker_max_seconds: float = BREAKER_MAX_SECONDS

    @property
    def due_rule(self) -> DueRule:
        """When a company's waiting requests are sent."""
        return DueRule(self.min_batch_requests, self.max_wait_seconds)

    @property
    def late_after_seconds(self) -> float:
        """The age at which a failed request would miss its deadline if a batch took it now."""
        return self.batch_timeout_seconds - self.synchronous.lead_seconds

    def rows_of_look(self, models: int = 1) -> int:
        """How many rows a claim reads at one time: a full batch of each model is among so many."""
        return max(self.rows_per_look, models * self.max_batch_requests)

    def model_of(self, name: str) -> str:
        """The model that a request names, itself or by its deployment."""
        return self.deployments.get(name, name)

    def token_allowance(self, model: str) -> int:
        """Prompt tokens that may be enqueued for a model at one time, as far as settings say."""
        return self.token_allowances.get(model, self.default_token_allowance)

    def longest_request(self, model: str) -> int:
        """Prompt tokens of one request at most; no model reads more than the default."""
        return min(self.token_allowance(model), self.longest_request_tokens)

    def look_again_seconds(self, looks: int) -> float:
        """Seconds until incomplete results are looked at again that were so often before."""
        doublings = min(looks, _MOST_DOUBLINGS)
        return min(self.most_look_seconds, self.first_look_seconds * 2.0**doublings)

    def retry_delay_seconds(self, failures: int, jitter: random.Random) -> float:
        """How long a request that has failed so many times waits: doubling, with full jitter.

        Between half and all of `retry_base_seconds * 2 ** (failures - 1)`, at most
        `retry_max_seconds`.
        """
        doublings = min(failures - 1, _MOST_DOUBLINGS)
        ceiling = min(self.retry_max_seconds, self.retry_base_seconds * 2.0**doublings)
        return jitter.uniform(ceiling / 2, ceiling)

    def cooldown(
        self, code: str, jitter: random.Random, asked_seconds: float | None = None
    ) -> "Cooldown":
        """How long the cooldown is of a model or account for which the server had but this code.

        From `asked_seconds`, where the server asks for that, to half as long again; else between
        half and all of `model_cooldown_seconds`: so that not all wake at once.
        """
        least = asked_seconds or self.model_cooldown_seconds / 2
        most = 1.5 * asked_seconds if asked_seconds else self.model_cooldown_seconds
        return Cooldown(jitter.uniform(least, most), self.retry_max_seconds, code)

    def counts_as_attempt(self, failure: Failure) -> bool:
        """Whether a failure uses up one of a request's attempts."""
        return failure.kind not in _UNCOUNTED

    def verdict(self, failure: Failure, before: Tried, jitter: random.Random) -> "FailureVerdict":
        """What follows from the failure of a request that has been through `before`.

        One that may have been answered and paid for is not sent again unasked, and one that has
        waited for `longest_wait_seconds` without a try that counts waits no longer.
        """
        counted = self.counts_as_attempt(failure)
        attempts = before.attempts + int(counted)
        if not counted and before.waited_seconds >= self.longest_wait_seconds:
            return FailureVerdict(_waited_too_long(failure, before), counted, attempts, None)
        never_again = failure.kind in {FailureKind.PERMANENT, FailureKind.INDETERMINATE}
        if never_again or attempts >= self.max_attempts:
            return FailureVerdict(failure, counted, attempts, None)
        failures = attempts + before.uncounted + int(not counted)
        return FailureVerdict(
            failure, counted, attempts, self.retry_delay_seconds(failures, jitter)
        )


@dataclass(frozen=True, slots=True)
class Cooldown:
    """How long something is not used; each time it follows upon another it is doubled."""

    seconds: float
    most_seconds: float
    """What the doubling leads to at most."""
    reason: str


@dataclass(frozen=True, slots=True)
class FailureVerdict:
    """What becomes of a request that has failed."""

    failure: Failure
    counted: bool
    attempts: int
    """Those that count, this one included."""
    delay_seconds: float | None
    """Until it is tried again; `None` for a dead letter."""


def _waited_too_long(failure: Failure, before: Tried) -> Failure:
    days = before.waited_seconds / (24 * 60 * 60)
    reason = (
        f"It has waited {days:.0f} days in which no try counted, and waits no longer. Of the last "
        f"one is known: {failure.reason}"
    )
    return Failure(failure.kind, WAITED_TOO_LONG, reason)
