"""Which implementation an operation deserves: a pure function of what was measured.

Optimized is used while more than nine in ten of its last calls succeed and it is not clearly
slower. The band between "clearly slower" and "faster again", and a minimal stay, keep the decision
from flapping.
"""

from dataclasses import dataclass, field
from typing import Final

from batch_assets.store.strategy.modes import Choice, Implementation

SPEED_HOURS: Final = 24
"""What is older is not looked at."""

LAST_CALLS: Final = 20
"""Of which the success is counted, by whole runs."""
LEAST_CALLS: Final = 5
"""Fewer calls of an implementation say nothing, neither of its success nor of its speed."""
LAST_PROBES: Final = 5
LEAST_PROBES: Final = 3
"""Probes weigh more: both implementations were given the same, one after the other."""
SUCCESS_ABOVE: Final = 0.9
CLEARLY_FASTER: Final = 0.8
"""The original takes over where it needs less than this part of the optimized one's time."""
STAY_SECONDS: Final = 30 * 60
"""How long a choice stays at least, unless optimized fails."""
FORGIVEN_SECONDS: Final = 60 * 60
"""How long the original stays after optimized has failed; then it is tried again."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Calls that succeeded and were work, in the last `SPEED_HOURS`."""

    calls: int = 0
    seconds: float = 0.0
    rows: int = 0


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of one implementation of one operation."""

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
class SideBySide:
    """Both implementations of one operation on the same, in the `LAST_PROBES`."""

    probes: int
    ratio: float
    """The original's time as a multiple of the optimized one's: the median."""


@dataclass(frozen=True, slots=True)
class Stay:
    """The choice that is in force, and since when."""

    implementation: Implementation
    seconds: float


def decide(
    optimized: Evidence, original: Evidence, stay: Stay | None, beside: SideBySide | None = None
) -> Choice:
    """The implementation to use from now on, where `stay` is what was used up to now."""
    was_left = stay is not None and stay.implementation is Implementation.ORIGINAL
    is_forgiven = was_left and stay is not None and stay.seconds >= FORGIVEN_SECONDS
    if optimized.fails and not is_forgiven:
        return Choice(Implementation.ORIGINAL, f"optimized {optimized.record}")
    if original.fails:
        return Choice(Implementation.OPTIMIZED, f"the original {original.record}")
    ratio = original_to_optimized(optimized, original, beside)
    if stay is not None and was_left:
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
    if ratio is not None and ratio <= 1:
        return Choice(Implementation.ORIGINAL, _compared(ratio))
    if stay.seconds < STAY_SECONDS:
        return Choice(Implementation.ORIGINAL, "chosen a short while ago")
    if optimized.fails:
        return Choice(Implementation.OPTIMIZED, f"tried again after an hour: it {optimized.record}")
    if ratio is None:
        return Choice(Implementation.OPTIMIZED, "nothing speaks against it any more")
    return Choice(Implementation.OPTIMIZED, _compared(ratio))


def original_to_optimized(
    optimized: Evidence, original: Evidence, beside: SideBySide | None = None
) -> float | None:
    """The original's time as a multiple of the optimized one's; `None`: not comparable.

    Where there are enough probes they alone count, since both did the same there. Else time is
    compared by the row, or by the call where neither moved a row.
    """
    if beside is not None and beside.probes >= LEAST_PROBES:
        return beside.ratio
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
