"""Which implementation of the database operations runs use, and how the two compare.

They are compared on the present data, over connections that refuse to write.
"""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Engine

from batch_assets.domain.display import plural
from batch_assets.domain.errors import ConfigurationError
from batch_assets.stages.controls.criteria import Spelling
from batch_assets.store.engine import open_engine
from batch_assets.store.strategy import (
    Compared,
    CompareLimits,
    QueryMode,
    StoredMode,
    StoredModes,
    Verdict,
    compare,
)

ENVIRONMENT: Final = "environment"
"""The word that takes a choice back."""

_ALLOWED = {
    "seconds": (0.1, 60),
    "companies": (1, 100_000),
    "batches": (1, 1_000),
    "rows": (1, 100_000),
}


@dataclass(frozen=True)
class ModeReport:
    """How it was, and how it is now."""

    before: StoredMode | None
    """`None`: the environment said."""
    now: StoredMode | None
    environment: QueryMode
    """What the environment says."""

    @property
    def mode(self) -> QueryMode:
        """The mode of the next run."""
        return self.environment if self.now is None else self.now.mode

    @property
    def sentence(self) -> str:
        """A sentence on which mode runs use, and who says so."""
        used = f"Runs use {self.mode.meaning}"
        if self.now is None:
            return f"{used}: ENABLE_BATCH_OPTIMIZATION says {self.environment}."
        return (
            f"{used}: {self.now.asked_in} says {self.mode}, which goes before "
            f"ENABLE_BATCH_OPTIMIZATION, which says {self.environment}."
        )


def read_mode(modes: StoredModes, environment: QueryMode) -> ModeReport:
    """Report which mode is chosen; changes nothing."""
    stored = modes.read()
    return ModeReport(before=stored, now=stored, environment=environment)


def choose_mode(modes: StoredModes, environment: QueryMode, wanted: str, who: str) -> ModeReport:
    """Let runs from the next one on use this mode, or with `environment` what that says.

    Raises:
        ConfigurationError: There is no such mode.
    """
    mode = None if wanted == ENVIRONMENT else _mode(wanted)
    before = modes.read()
    now = None
    if mode is None:
        modes.forget()
    else:
        now = modes.keep(mode, who)
    return ModeReport(before=before, now=now, environment=environment)


def _mode(wanted: str) -> QueryMode:
    try:
        return QueryMode(wanted)
    except ValueError:
        words = ", ".join([*QueryMode, ENVIRONMENT])
        raise ConfigurationError(f"There is no mode '{wanted}': it is one of {words}.") from None


@dataclass(frozen=True)
class CompareReport:
    """Every operation that only reads, as both did it."""

    compared: list[Compared]

    @property
    def different(self) -> list[Compared]:
        """The operations that gave different rows."""
        return [one for one in self.compared if one.verdict is Verdict.DIFFERENT]

    @property
    def totals(self) -> dict[str, float]:
        """The sums over operations that have two implementations and were done by both."""
        two = [one for one in self.compared if not one.is_shared]
        original = sum(one.original_seconds for one in two)
        optimized = sum(one.optimized_seconds for one in two)
        return {
            "original_statements": sum(one.original_statements for one in two),
            "optimized_statements": sum(one.optimized_statements for one in two),
            "original_seconds": round(original, 6),
            "optimized_seconds": round(optimized, 6),
            "ratio": round(original / optimized, 3) if optimized else 0.0,
        }

    @property
    def sentence(self) -> str:
        """The outcome, in one line."""
        sums = self.totals
        counted = [
            f"{number} {verdict}"
            for verdict in Verdict
            if (number := sum(one.verdict is verdict for one in self.compared))
        ]
        return (
            f"{plural(len(self.compared), 'operation')} by both: {', '.join(counted)}. Of those "
            f"with two implementations, the original took {sums['original_statements']:.0f} "
            f"statements and {sums['original_seconds']:.3f} s, optimized "
            f"{sums['optimized_statements']:.0f} and {sums['optimized_seconds']:.3f} s."
        )


def compare_queries(engine: Engine, limits: CompareLimits, spelled: Spelling) -> CompareReport:
    """Do every operation that only reads by both implementations, within these limits.

    On the database of `engine`, by connections of their own.

    Raises:
        ConfigurationError: A limit is out of its bounds.
    """
    for name, (low, high) in _ALLOWED.items():
        value = getattr(limits, name)
        if not low <= value <= high:
            raise ConfigurationError(
                f"{spelled(name)} is {value:,}: it must be from {low:,} to {high:,}."
            )
    reading = open_engine(engine.url.render_as_string(hide_password=False), read_only=True)
    try:
        return CompareReport(compare(reading, limits))
    finally:
        reading.dispose()
