"""When nothing starts runs by itself after failed ones, and for how long."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

_DOUBLINGS = 3
"""A cooldown never gets longer than eight times the first one."""


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
