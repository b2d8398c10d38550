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
    """Which implementation a run is to use: the three words of the switch."""

    AUTO = "true"
    """For each operation optimized, unless the measured history speaks against it."""
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
        """The implementation of all operations; `None` if each has its own."""
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
    """False: an optimized operation that fails has failed."""
    asked_in: str = "the environment"
    """Where the mode was asked for, for people."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The implementation of one operation, and a short reason for people."""

    implementation: Implementation
    reason: str
