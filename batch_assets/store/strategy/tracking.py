"""What each operation has cost in this process, by implementation: kept in memory, added up."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from batch_assets.store.counting import Tally, counted_into
from batch_assets.store.lost_connections import is_nobodys
from batch_assets.store.strategy.modes import Implementation


class Purpose(StrEnum):
    """Why an operation ran."""

    WORK = "work"
    PROBE = "probe"
    """Only to be measured: its result was thrown away. Its rows are those that were asked for."""


class Key(NamedTuple):
    """What measurements are added up for."""

    operation: str
    implementation: Implementation
    purpose: Purpose


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over calls. `failures` are calls that raised, `fallbacks` those the original redid."""

    calls: int = 0
    failures: int = 0
    fallbacks: int = 0
    seconds: float = 0.0
    statements: int = 0
    rows: int = 0

    def __add__(self, other: "Totals") -> "Totals":
        return Totals(
            self.calls + other.calls,
            self.failures + other.failures,
            self.fallbacks + other.fallbacks,
            self.seconds + other.seconds,
            self.statements + other.statements,
            self.rows + other.rows,
        )

    def __sub__(self, other: "Totals") -> "Totals":
        return Totals(
            self.calls - other.calls,
            self.failures - other.failures,
            self.fallbacks - other.fallbacks,
            self.seconds - other.seconds,
            self.statements - other.statements,
            self.rows - other.rows,
        )


class Measured(Tally):
    """One call while it is measured: the time is that of its steps, without pauses between them."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0
        self.rows = 0

    @contextmanager
    def step(self) -> Iterator[None]:
        """A part of the call, or all of it."""
        started = time.perf_counter()
        try:
            with counted_into(self):
                yield
        finally:
            self.seconds += time.perf_counter() - started


class Tracker:
    """Adds measurements up; any thread may."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._totals: dict[Key, Totals] = {}

    @contextmanager
    def call(self, key: Key) -> Iterator[Measured]:
        """Measure one call, whose steps the caller marks.

        A call that had no connection to its end says nothing about its implementation, and is left
        out.
        """
        measured = Measured()
        try:
            yield measured
        except Exception as error:
            if not is_nobodys(error):
                self.add(key, measured, failures=1)
            raise
        except GeneratorExit:
            # Whoever reads a stream may have had enough of it.
            self.add(key, measured)
            raise
        self.add(key, measured)

    def fell_back(self, operation: str) -> None:
        """Count that the original redoes what the optimized implementation failed at."""
        self._grow(Key(operation, Implementation.OPTIMIZED, Purpose.WORK), Totals(fallbacks=1))

    def compare(self, key: Key, measured: Measured, items: int) -> None:
        """Keep what was work beside a probe of it, by the items that it was asked for.

        Its statements are left out: they are counted as work.
        """
        self._grow(key, Totals(calls=1, seconds=measured.seconds, rows=items))

    def totals(self) -> Mapping[Key, Totals]:
        """Everything since this process began; does not change any more."""
        with self._lock:
            return dict(self._totals)

    def add(self, key: Key, measured: Measured, *, failures: int = 0) -> None:
        """Count one call."""
        totals = Totals(
            calls=1,
            failures=failures,
            seconds=measured.seconds,
            statements=measured.statements,
            rows=measured.rows,
        )
        self._grow(key, totals)

    def _grow(self, key: Key, totals: Totals) -> None:
        with self._lock:
            self._totals[key] = self._totals.get(key, Totals()) + totals


def since(before: Mapping[Key, Totals], after: Mapping[Key, Totals]) -> dict[Key, Totals]:
    """What was added between two moments; keys for which nothing was are left out."""
    grown = {key: totals - before.get(key, Totals()) for key, totals in after.items()}
    return {key: totals for key, totals in grown.items() if totals != Totals()}
