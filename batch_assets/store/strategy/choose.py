"""Which implementation each query of a process uses, and which one is probed.

`decide` is a pure function of what was measured.

Optimized is used while more than nine in ten of its last calls succeed and it is not clearly
slower. The band between "clearly slower" and "faster again", and a minimal stay, keep the decision
from flapping.
"""

import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from batch_assets.domain.errors import BatchAssetsError
from batch_assets.domain.logs import open_log
from batch_assets.store.connection_failures import is_without_connection
from batch_assets.store.strategy.records import (
    LEAST_CALLS,
    PROBED,
    WRITES,
    Choice,
    Evidence,
    Implementation,
    PairedProbes,
    Past,
    QueryMode,
    Stay,
    StoredMode,
    Toggle,
)

SPEED_HOURS: Final = 24
"""What is older is not looked at."""

LAST_CALLS: Final = 20
"""Of which the success is counted, by whole runs."""
LAST_PROBES: Final = 5
LEAST_PROBES: Final = 3
"""Probes weigh more: both implementations were given the same, one after the other."""
CLEARLY_FASTER: Final = 0.8
"""The original takes over where it needs less than this part of the optimized one's time."""
STAY_SECONDS: Final = 30 * 60
"""How long a choice stays at least, unless optimized fails."""
FORGIVEN_SECONDS: Final = 60 * 60
"""How long the original stays after optimized has failed; then it is tried again."""
PROBE_EVERY_SECONDS: Final = 30 * 60
"""How long a query is not probed again."""
PROBE_SECONDS: Final = 2.0
"""How long a probe may take; one that takes longer is ended."""
GIVEN_UP_SECONDS: Final = 4 * 60 * 60
"""How long an implementation whose probe failed or was ended is not probed again."""

_logger = open_log(__name__)


class Chooser:
    """Chooses once for each query; in `auto` from the history, read when first needed.

    At most one query of a process is probed: one drawn from those whose turn it is, so that all
    are measured in the end, also those that a run rarely asks for.
    """

    def __init__(
        self,
        toggle: Toggle,
        read: Callable[[], Mapping[str, Past]],
        stored: Callable[[], StoredMode | None] = lambda: None,
    ) -> None:
        self._given = toggle
        self._read = read
        self._stored = stored
        self._lock = threading.Lock()
        self._past: Mapping[str, Past] | None = None
        self._choices: dict[str, Choice] = {}
        self._to_probe: str | None = None

    @cached_property
    def toggle(self) -> Toggle:
        """What was asked for; a stored choice goes before the mode that was given."""
        stored = self._stored()
        if stored is None:
            return self._given
        return replace(self._given, mode=stored.mode, asked_in=stored.asked_in)

    def choose(self, query: str) -> Choice:
        """The choice for one query; it stays for this process."""
        with self._lock:
            if query not in self._choices:
                self._choices[query] = self._make(query)
            return self._choices[query]

    def decided(self) -> Mapping[str, Choice]:
        """What the history decided, by query in alphabetical order; nothing but in `auto`."""
        if self.toggle.mode is not QueryMode.AUTO:
            return {}
        with self._lock:
            made = sorted(self._choices.items())
        return {name: choice for name, choice in made if not self._is_barred(name)}

    def take_probe(self, query: str) -> bool:
        """Whether to probe now: True once for at most one query."""
        with self._lock:
            wanted = query == self._to_probe
            if wanted:
                self._to_probe = None
            return wanted

    def _make(self, query: str) -> Choice:
        if self._is_barred(query):
            return Choice(Implementation.ORIGINAL, "ENABLE_BATCH_OPERATIONS is false")
        only = self.toggle.mode.only
        if only is not None:
            return Choice(only, f"asked for in {self.toggle.asked_in}")
        return _choice_by(self._history().get(query, Past()))

    def _is_barred(self, query: str) -> bool:
        return query in WRITES and not self._given.writes_in_sets

    def _history(self) -> Mapping[str, Past]:
        if self._past is None:
            try:
                self._past = self._read()
            except (BatchAssetsError, SQLAlchemyError) as error:
                if is_without_connection(error):
                    raise
                _logger.warning(
                    "The history of the queries cannot be read (%s): nothing is compared.",
                    type(error).__name__,
                )
                self._past = {}
            else:
                self._to_probe = _draw_probe(self._past)
        return self._past


def _draw_probe(past: Mapping[str, Past]) -> str | None:
    due = [query for query in sorted(PROBED) if _is_due(past.get(query, Past()))]
    return random.SystemRandom().choice(due) if due else None


def _is_due(past: Past) -> bool:
    """Whether it is a query's turn, and what would be probed was not given up lately."""
    ago = past.probed_seconds_ago
    given_up_ago = past.given_up_seconds_ago.get(_choice_by(past).implementation.other)
    return (ago is None or ago >= PROBE_EVERY_SECONDS) and (
        given_up_ago is None or given_up_ago >= GIVEN_UP_SECONDS
    )


def _choice_by(past: Past) -> Choice:
    optimized, original = (past.of(one) for one in Implementation)
    return decide(optimized, original, past.stay, past.paired)


def decide(
    optimized: Evidence, original: Evidence, stay: Stay | None, beside: PairedProbes | None = None
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
    optimized: Evidence, original: Evidence, beside: PairedProbes | None = None
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
