"""What is not tried for a while after failures: calls (circuit breakers) and runs (a cooldown).

A call is let through while its operation's breaker is closed, and refused at once while it is open.
Then one call is let through on trial: it closes the breaker, or opens it for twice as long. So it
is with the runs that schedules and sensors start.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from batch_assets.domain.errors import Failure, FailureKind

BREAKER_OPEN = "breaker_open"
"""The code of the failure of a call that was refused by a breaker."""

STAGE_IS_OVER = "stage_is_over"
"""The code of the failure of a call that its stage had no more time for."""

ANSWER_TOO_LARGE = "answer_too_large"
MALFORMED = "malformed_answer"
"""The codes of answers that no such answer can be: it is one object that has them."""

_SAY_NOTHING = frozenset(
    {BREAKER_OPEN, STAGE_IS_OVER, ANSWER_TOO_LARGE, MALFORMED, "no_free_connection"}
)
"""Codes of failures that say nothing of how well the server is."""
_DOUBLINGS = 3
"""A cooldown never gets longer than eight times the first one."""


class BreakerState(StrEnum):
    """What becomes of the next call of an operation."""

    CLOSED = "closed"
    """It is made; some calls before it may have failed in a row."""
    OPEN = "open"
    """It is refused until `retry_at`, and on trial from then on."""
    HALF_OPEN = "half_open"
    """It is refused, since another one is on trial; from `retry_at` on that one is given up."""


@dataclass(frozen=True, slots=True)
class Breaker:
    """The breaker of one operation as it was at one moment, on the database's clock."""

    operation: str
    state: BreakerState
    failures: int
    """Calls that failed in a row."""
    code: str
    """The last failure's code."""
    reason: str
    retry_at: datetime | None
    changed_at: datetime
    """Tells a trial from those before and after it."""
    seconds_left: float
    """How long calls are refused from that moment on; 0 where none are."""

    @property
    def history(self) -> str:
        """What happened: how many calls failed, and the last one's code."""
        calls = "the last call" if self.failures == 1 else f"{self.failures} calls in a row"
        return f"{calls} failed ({self.code})"

    @property
    def refusal(self) -> str:
        """Why a call is not made, until when, and what to do about it."""
        if self.state is BreakerState.HALF_OPEN or self.retry_at is None:
            until = "another run is trying one now"
        else:
            until = f"none is made before {self.retry_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
        return (
            f"{self.history} and {until}; `batch-assets reset {self.operation}` allows them at once"
        )


def is_unwell(failure: Failure) -> bool:
    """Whether a failure means that the server is not well, whatever it was asked."""
    return (
        failure.kind in {FailureKind.TRANSIENT, FailureKind.INDETERMINATE}
        and failure.code not in _SAY_NOTHING
    )


def is_answer(failure: Failure) -> bool:
    """Whether a failure is a well server's answer: a refusal, no room, no such thing."""
    return failure.kind not in {FailureKind.TRANSIENT, FailureKind.INDETERMINATE}


@dataclass(frozen=True, slots=True)
class ScheduleCooldown:
    """A cooldown that failed runs ask for; once `until` is past, a trial run is due."""

    failed_runs: int
    is_at_least: bool
    """More runs may have failed in a row than were counted."""
    until: datetime

    @property
    def reason(self) -> str:
        """What happened, as the beginning of a sentence."""
        if self.failed_runs == 1:
            return "The last run has failed"
        at_least = "At least the" if self.is_at_least else "The"
        return f"{at_least} last {self.failed_runs} runs have failed"


@dataclass(frozen=True, slots=True)
class CooldownRule:
    """After `failed_runs` in a row: `minutes`, doubled with each single run that fails after it."""

    failed_runs: int
    minutes: float

    @property
    def counted_runs(self) -> int:
        """How many failed runs in a row make a difference."""
        return self.failed_runs + _DOUBLINGS

    def until(self, failed_at: Sequence[datetime]) -> datetime | None:
        """Until when runs that failed in a row, the last one first, hold the schedule.

        `None`: they do not. A moment that is past means that a trial run is due.
        """
        doublings = min(len(failed_at) - self.failed_runs, _DOUBLINGS)
        if doublings < 0 or self.minutes == 0:
            return None
        return failed_at[0] + timedelta(minutes=self.minutes * 2**doublings)

    def cooldown(self, failed_at: Sequence[datetime]) -> ScheduleCooldown | None:
        """The cooldown that these failures ask for, the last one first; `None` as above."""
        counted = failed_at[: self.counted_runs]
        until = self.until(counted)
        if until is None:
            return None
        return ScheduleCooldown(len(counted), len(counted) == self.counted_runs, until)
