"""The numbers that decide: when a company is due, what a batch holds, when to try again.

Everything here is a pure function of its arguments; the numbers come from the settings.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from batch_assets.domain.failures import Failure, FailureKind
from batch_assets.domain.records import Backlog


@dataclass(frozen=True, slots=True)
class Caps:
    """Limits on what may be sent. `None`: no limit. Cost is the estimate, in EUR.

    A day is a UTC day, and counts everything that was claimed in it and not released.
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
        costs = (self.run_cost_eur, self.day_cost_eur, self.company_day_cost_eur)
        return any(cost is not None for cost in costs)


@dataclass(frozen=True, slots=True)
class LivePolicy:
    """Whether requests may be sent live, at the full price, and how many. A day is a UTC day.

    Cost is the estimate, in EUR. What is claimed to be sent counts, whatever becomes of it.
    """

    is_on: bool = False
    run_requests: int = 100
    day_requests: int = 1_000
    day_cost_eur: float = 5.0
    lead_seconds: float = 2 * 60 * 60
    """How long a request that waits for the next batch is expected to wait for its answer."""
    requests_per_claim: int = 50


@dataclass(frozen=True, slots=True)
class Policy:
    """All numbers of the pipeline in one frozen record; `Settings.policy()` makes it."""

    min_batch_requests: int = 10
    max_wait_seconds: float = 30 * 60
    max_batch_requests: int = 1_000
    max_batch_bytes: int = 150_000_000
    default_token_allowance: int = 2_000_000
    token_allowances: Mapping[str, int] = field(default_factory=dict)
    deployments: Mapping[str, str] = field(default_factory=dict)
    """The model that runs under each name which is none of a model."""
    caps: Caps = field(default_factory=Caps)
    usd_to_eur: float = 0.85
    max_attempts: int = 3
    retry_base_seconds: float = 5 * 60
    retry_max_seconds: float = 6 * 60 * 60
    model_pause_seconds: float = 10 * 60
    lease_seconds: float = 15 * 60
    absence_grace_seconds: float = 10 * 60
    batch_timeout_seconds: float = 24 * 60 * 60
    output_expires_seconds: int = 7 * 24 * 60 * 60
    batches_per_claim: int = 500
    rows_per_claim: int = 20_000
    bytes_per_claim: int = 500_000_000
    batches_per_poll: int = 5_000
    batches_per_read: int = 500
    rows_per_look: int = 5_000
    rows_per_write: int = 5_000
    rows_per_run: int = 100_000
    op_seconds: float = 10 * 60
    foreign_quiet_seconds: float = 15 * 60
    quarantine_submissions: int = 32
    concurrent_companies: int = 5
    breaker_failures: int = 5
    breaker_seconds: float = 60
    breaker_max_seconds: float = 30 * 60
    live: LivePolicy = field(default_factory=LivePolicy)

    @property
    def late_after_seconds(self) -> float:
        """The age at which a failed request would miss its deadline if a batch took it now."""
        return self.batch_timeout_seconds - self.live.lead_seconds

    def model_of(self, name: str) -> str:
        """The model that a request names, itself or by its deployment."""
        return self.deployments.get(name, name)

    def token_allowance(self, model: str) -> int:
        """Prompt tokens that may be enqueued for a model at one time, all its batches together."""
        return self.token_allowances.get(model, self.default_token_allowance)

    def is_due(self, backlog: Backlog) -> bool:
        """Whether a company's waiting requests are to be sent now: enough of them, or too old."""
        if backlog.requests == 0:
            return False
        return (
            backlog.requests >= self.min_batch_requests
            or backlog.oldest_wait_seconds >= self.max_wait_seconds
        )

    def retry_delay_seconds(self, attempts: int, jitter: random.Random) -> float:
        """How long a request that has failed `attempts` times waits: doubling, with full jitter.

        Between half and all of `retry_base_seconds * 2 ** (attempts - 1)`, at most
        `retry_max_seconds`.
        """
        ceiling = min(self.retry_max_seconds, self.retry_base_seconds * 2.0 ** (attempts - 1))
        return jitter.uniform(ceiling / 2, ceiling)

    def model_rest_seconds(self, asked_seconds: float | None, jitter: random.Random) -> float:
        """How long a model rests for which the server had no room, so that not all wake at once.

        From `asked_seconds`, where the server asks for that, to half as long again; else between
        half and all of `model_pause_seconds`.
        """
        if asked_seconds:
            return jitter.uniform(asked_seconds, 1.5 * asked_seconds)
        return jitter.uniform(self.model_pause_seconds / 2, self.model_pause_seconds)

    def counts_as_attempt(self, failure: Failure) -> bool:
        """Whether a failure uses up one of a request's attempts."""
        return failure.kind not in {FailureKind.CAPACITY, FailureKind.ACCOUNT}

    def is_final(self, failure: Failure, attempts: int) -> bool:
        """Whether a request that has now used `attempts` attempts goes to the dead letters.

        One that may have been answered and paid for is not sent again unasked.
        """
        never_again = failure.kind in {FailureKind.PERMANENT, FailureKind.INDETERMINATE}
        return never_again or attempts >= self.max_attempts
