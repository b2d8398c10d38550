"""Which implementation an operation deserves: a pure function of what was measured.

Optimized is used while it succeeds more than nine times in ten and is not clearly slower. The band
between "clearly slower" and "faster again", and a minimal stay, keep the decision from flapping.
"""

from dataclasses import dataclass, field
from typing import Final

from batch_assets.store.strategy.modes import Choice, Implementation

SUCCESS_HOURS: Final = 1
SPEED_HOURS: Final = 24

LEAST_CALLS: Final = 5
"""Fewer calls of an implementation say nothing, neither of its success nor of its speed."""
LEAST_PROBES: Final = 3
"""Probes weigh more: both implementations were given the same, one after the other."""
SUCCESS_ABOVE: Final = 0.9
CLEARLY_FASTER: Final = 0.8
"""The original takes over where it needs less than this part of the optimized one's time."""
STAY_SECONDS: Final = 30 * 60
"""How long a choice stays at least, unless optimized fails."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Calls that succeeded, in the last `SPEED_HOURS`."""

    calls: int = 0
    seconds: float = 0.0
    rows: int = 0


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of one implementation of one operation."""

    recent_calls: int = 0
    """In the last `SUCCESS_HOURS`."""
    recent_failures: int = 0
    timing: Timing = field(default_factory=Timing)
    probed: Timing = field(default_factory=Timing)
    """Calls on the same arguments as one of the other implementation's, for comparison."""

    @property
    def fails(self) -> bool:
        """Whether it is known not to succeed often enough."""
        if self.recent_calls < LEAST_CALLS:
            return False
        successes = self.recent_calls - self.recent_failures
        return successes <= SUCCESS_ABOVE * self.recent_calls

    @property
    def is_doubtful(self) -> bool:
        """Whether it failed, with too few calls beside that to know how often it does."""
        return self.recent_failures > 0 and self.recent_calls < LEAST_CALLS

    @property
    def record(self) -> str:
        """How often it failed, for people."""
        calls = "call" if self.recent_calls == 1 else "calls"
        return (
            f"failed in {self.recent_failures} of {self.recent_calls} {calls} in {SUCCESS_HOURS} h"
        )


@dataclass(frozen=True, slots=True)
class Stay:
    """The choice that is in force, and since when."""

    implementation: Implementation
    seconds: float


def decide(optimized: Evidence, original: Evidence, stay: Stay | None) -> Choice:
    """The implementation to use from now on, where `stay` is what was used up to now."""
    if optimized.fails:
        return Choice(Implementation.ORIGINAL, f"optimized {optimized.record}")
    if original.fails:
        return Choice(Implementation.OPTIMIZED, f"the original {original.record}")
    ratio = original_to_optimized(optimized, original)
    if stay is not None and stay.implementation is Implementation.ORIGINAL:
        return _after_original(optimized, ratio, stay)
    return _after_optimized(ratio, stay)


def _after_optimized(ratio: float | None, stay: Stay | None) -> Choice:
    if ratio is None:
        return Choice(Implementation.OPTIMIZED, "the original was not measured beside it")
    if ratio >= CLEARLY_FASTER:
        return Choice(Implementation.OPTIMIZED, _compared(ratio))
    if stay is not None and stay.seconds < STAY_SECONDS:
        return Choice(Implementation.OPTIMIZED, f"chosen a short while ago; {_compared(ratio)}")
    return Choice(Implementation.ORIGINAL, _compared(ratio))


def _after_original(optimized: Evidence, ratio: float | None, stay: Stay) -> Choice:
    if optimized.is_doubtful:
        return Choice(Implementation.ORIGINAL, f"optimized {optimized.record}")
    if ratio is not None and ratio <= 1:
        return Choice(Implementation.ORIGINAL, _compared(ratio))
    if stay.seconds < STAY_SECONDS:
        return Choice(Implementation.ORIGINAL, "chosen a short while ago")
    if ratio is None:
        return Choice(Implementation.OPTIMIZED, "nothing speaks against it any more")
    return Choice(Implementation.OPTIMIZED, _compared(ratio))


def original_to_optimized(optimized: Evidence, original: Evidence) -> float | None:
    """The original's time as a multiple of the optimized one's; `None`: not comparable.

    Where there are enough probes they alone count, since both did the same there. Else time is
    compared by the row, or by the call where neither moved a row.
    """
    probes = (original.probed, optimized.probed)
    if all(timing.calls >= LEAST_PROBES for timing in probes):
        return _ratio(*(timing.seconds / timing.calls for timing in probes))
    timings = (original.timing, optimized.timing)
    if any(timing.calls < LEAST_CALLS for timing in timings):
        return None
    if all(timing.rows for timing in timings):
        return _ratio(*(timing.seconds / timing.rows for timing in timings))
    if any(timing.rows for timing in timings):
        return None
    return _ratio(*(timing.seconds / timing.calls for timing in timings))


def _ratio(original: float, optimized: float) -> float | None:
    return original / optimized if optimized > 0 else None


def _compared(ratio: float) -> str:
    return f"the original takes {ratio:.2g} times as long as optimized"
