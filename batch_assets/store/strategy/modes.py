"""The words of the strategy: modes, implementations, the toggle and a choice."""

from dataclasses import dataclass
from enum import StrEnum


class Implementation(StrEnum):
    """One of the two implementations of `store.protocol.Queries`."""

    OPTIMIZED = "optimized"
    ORIGINAL = "original"

    @property
    def other(self) -> "Implementation":
        """The one that this one is compared with."""
        return Implementation.ORIGINAL if self is self.OPTIMIZED else Implementation.OPTIMIZED


class QueryMode(StrEnum):
    """Which implementation a run is to use."""

    OPTIMIZED = "optimized"
    ORIGINAL = "original"
    AUTO = "auto"
    """For each operation the one that the measured history speaks for."""


@dataclass(frozen=True, slots=True)
class Toggle:
    """What the operator asked for, by the environment or for one run."""

    mode: QueryMode = QueryMode.OPTIMIZED
    writes_in_sets: bool = True
    """False: whatever writes rows is done by the original, in every mode."""
    falls_back: bool = True
    """False: an optimized operation that fails has failed."""
    asked_in: str = "the environment"
    """Where the mode was asked for, for people."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The implementation of one operation, and a short reason for people."""

    implementation: Implementation
    reason: str
