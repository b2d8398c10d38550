"""What each query has cost in this process, by implementation, and what is said of it.

Kept in memory and added up; a report is about the time between two moments.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from batch_assets.domain.metrics import QueryUse
from batch_assets.store.connection_failures import is_nobodys
from batch_assets.store.counting import Tally, counted_into
from batch_assets.store.strategy.records import (
    Choice,
    Implementation,
    Key,
    Purpose,
    QueryMode,
    Toggle,
    Totals,
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

    def fell_back(self, query: str) -> None:
        """Count that the original redoes what the optimized implementation failed at."""
        self._grow(Key(query, Implementation.OPTIMIZED, Purpose.WORK), Totals(fallbacks=1))

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


@dataclass(frozen=True, slots=True)
class QueryReport:
    """The work of some queries. Statements and seconds are those of probes, too."""

    query_mode: str
    query_choice_reason: str
    query_statements: int
    query_rows: int
    database_seconds: float
    query_fallbacks: int
    query_operations: Mapping[str, Mapping[str, Any]]
    """By query: implementation and reason, calls, statements, rows, seconds, failures and
    fallbacks, and what its probe cost."""


def query_report(
    toggle: Toggle, measured: Mapping[Key, Totals], choices: Mapping[str, Choice]
) -> QueryReport:
    """Put together what was measured; `choices` has every query that was."""
    work: defaultdict[str, Totals] = defaultdict(Totals)
    probes: defaultdict[str, Totals] = defaultdict(Totals)
    for key, totals in measured.items():
        if key.purpose is Purpose.WORK:
            work[key.query] += totals
        elif key.implementation is not choices[key.query].implementation:
            probes[key.query] += totals
    whole, spent = sum(work.values(), Totals()), _spent(measured, choices)
    chosen = {query: choices[query] for query in sorted(work)}
    return QueryReport(
        query_mode=toggle.mode.value,
        query_choice_reason=_in_short(toggle, chosen),
        query_statements=spent.statements,
        query_rows=whole.rows,
        database_seconds=round(spent.seconds, 6),
        query_fallbacks=whole.fallbacks,
        query_operations={
            query: _entry(choice, work[query], probes[query]) for query, choice in chosen.items()
        },
    )


def query_use(measured: Mapping[Key, Totals], choices: Mapping[str, Choice]) -> QueryUse:
    """What was measured, as metrics of a run."""
    work = {key: totals for key, totals in measured.items() if key.purpose is Purpose.WORK}
    whole, spent = sum(work.values(), Totals()), _spent(measured, choices)
    optimized = sum(
        (one for key, one in work.items() if key.implementation is Implementation.OPTIMIZED),
        Totals(),
    )
    return QueryUse(
        query_statements=spent.statements,
        query_rows=whole.rows,
        database_seconds=round(spent.seconds, 6),
        query_operations=whole.calls - whole.fallbacks,
        optimized_operations=optimized.calls - whole.fallbacks,
        query_fallbacks=whole.fallbacks,
    )


def _spent(measured: Mapping[Key, Totals], choices: Mapping[str, Choice]) -> Totals:
    """Work and probes. What a probe is compared with was work, and stands beside it once more."""
    return sum(
        (
            totals
            for key, totals in measured.items()
            if key.purpose is Purpose.WORK
            or key.implementation is not choices[key.query].implementation
        ),
        Totals(),
    )


def _entry(choice: Choice, work: Totals, probe: Totals) -> dict[str, Any]:
    return {
        "implementation": choice.implementation.value,
        "reason": choice.reason,
        # What the original does again is one call, and costs what both have cost.
        "calls": work.calls - work.fallbacks,
        "failures": work.failures,
        "fallbacks": work.fallbacks,
        "statements": work.statements,
        "rows": work.rows,
        "seconds": round(work.seconds, 6),
        "probe_statements": probe.statements,
        "probe_seconds": round(probe.seconds, 6),
    }


def _in_short(toggle: Toggle, choices: Mapping[str, Choice]) -> str:
    """`optimized: asked for in the environment`, or with the queries where there are several.

    Where each query has a reason of its own, also where that was asked for.
    """
    alike: defaultdict[str, list[str]] = defaultdict(list)
    for query, choice in choices.items():
        alike[f"{choice.implementation}: {choice.reason}"].append(query)
    if not alike:
        return "nothing was asked of the database"
    said = "; ".join(f"{choice} ({', '.join(names)})" for choice, names in alike.items())
    if len(alike) == 1:
        said = next(iter(alike))
    if toggle.mode is QueryMode.AUTO and toggle.asked_in != Toggle().asked_in:
        said += f"; the comparison is asked for in {toggle.asked_in}"
    return said
