"""When the schedule rests after failed runs, and for how long."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

_DOUBLINGS = 3
"""A pause never gets longer than eight times the first one."""


@dataclass(frozen=True, slots=True)
class PauseRule:
    """After `failed_runs` in a row: `minutes`, doubled with each single run that fails after it."""

    failed_runs: int
    minutes: float

    @property
    def counted_runs(self) -> int:
        """How many failed runs in a row make a difference."""
        return self.failed_runs + _DOUBLINGS

    def until(self, failed_at: Sequence[datetime]) -> datetime | None:
        """Until when runs that failed in a row, the last one first, make the schedule rest.

        `None`: they do not. A moment that is past means that a trial run is due.
        """
        doublings = min(len(failed_at) - self.failed_runs, _DOUBLINGS)
        if doublings < 0 or self.minutes == 0:
            return None
        return failed_at[0] + timedelta(minutes=self.minutes * 2**doublings)
