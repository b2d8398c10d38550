"""Which implementation each operation of this process uses."""

import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from batch_assets.domain.errors import BatchAssetsError
from batch_assets.domain.logs import open_log
from batch_assets.store.lost_connections import is_without_connection
from batch_assets.store.strategy.deciding import decide
from batch_assets.store.strategy.history import Past
from batch_assets.store.strategy.modes import Choice, Implementation, QueryMode, Toggle
from batch_assets.store.strategy.operations import PROBED, WRITES
from batch_assets.store.strategy.stored import StoredMode

PROBE_EVERY_SECONDS: Final = 30 * 60
"""How long an operation is not probed again."""
PROBE_SECONDS: Final = 2.0
"""How long a probe may take; one that takes longer is ended."""
GIVEN_UP_SECONDS: Final = 4 * 60 * 60
"""How long an implementation whose probe failed or was ended is not probed again."""

_logger = open_log(__name__)


class Chooser:
    """Chooses once for each operation; in `auto` from the history, read when first needed.

    At most one operation of a process is probed: one drawn from those whose turn it is, so that all
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

    def choose(self, operation: str) -> Choice:
        """The choice for one operation; it stays for this process."""
        with self._lock:
            if operation not in self._choices:
                self._choices[operation] = self._make(operation)
            return self._choices[operation]

    def decided(self) -> Mapping[str, Choice]:
        """What the history decided, by operation in alphabetical order; nothing but in `auto`."""
        if self.toggle.mode is not QueryMode.AUTO:
            return {}
        with self._lock:
            made = sorted(self._choices.items())
        return {name: choice for name, choice in made if not self._is_barred(name)}

    def take_probe(self, operation: str) -> bool:
        """Whether to probe now: True once for at most one operation."""
        with self._lock:
            wanted = operation == self._to_probe
            if wanted:
                self._to_probe = None
            return wanted

    def _make(self, operation: str) -> Choice:
        if self._is_barred(operation):
            return Choice(Implementation.ORIGINAL, "ENABLE_BATCH_OPERATIONS is false")
        only = self.toggle.mode.only
        if only is not None:
            return Choice(only, f"asked for in {self.toggle.asked_in}")
        return _choice_by(self._history().get(operation, Past()))

    def _is_barred(self, operation: str) -> bool:
        return operation in WRITES and not self._given.writes_in_sets

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
    due = [operation for operation in sorted(PROBED) if _is_due(past.get(operation, Past()))]
    return random.SystemRandom().choice(due) if due else None


def _is_due(past: Past) -> bool:
    """Whether it is an operation's turn, and what would be probed was not given up lately."""
    ago = past.probed_seconds_ago
    given_up_ago = past.given_up_seconds_ago.get(_choice_by(past).implementation.other)
    return (ago is None or ago >= PROBE_EVERY_SECONDS) and (
        given_up_ago is None or given_up_ago >= GIVEN_UP_SECONDS
    )


def _choice_by(past: Past) -> Choice:
    optimized, original = (past.of(one) for one in Implementation)
    return decide(optimized, original, past.stay, past.side_by_side)
