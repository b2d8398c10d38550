"""What `batch-assets serve` and `dev` say while they run: a line a run, and how the database is.

It looks in a thread of its own: whoever keeps processes alive must not wait for a database.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from batch_assets.cli.supervising import Serving, say
from batch_assets.domain.display import span
from batch_assets.domain.errors import BatchAssetsError, DatabaseUnavailableError

if TYPE_CHECKING:
    from batch_assets.store.sole_daemon import SoleDaemon

LOOK_SECONDS: Final = 2.0
_MEANWHILE: Final = "Until it answers no run starts; then all goes on by itself."


def say_where(serving: Serving, and_then: str = "") -> None:
    """Say where the UI is, on a line of its own, and what comes below it."""
    say(f"What Dagster's programs print is in {serving.log}; below is a line for each run.")
    say(f"\nThe UI is at {serving.address}{and_then}\n")


class Lookout:
    """Looks whether the database answers, and then for runs that have ended."""

    def __init__(self, daemon: SoleDaemon, lines: Callable[[], list[str]]) -> None:
        self._daemon = daemon
        self._lines = lines
        self._ended = threading.Event()
        self._away_since = 0.0
        self.away = ""
        """What is wrong with the database, if it did not answer the last time."""
        self.trouble: BatchAssetsError | None = None
        """Why this program has to end: another daemon has begun while the database was away."""

    def check(self) -> None:
        """To be called by whoever keeps the processes.

        Raises:
            BatchAssetsError: This program has to end.
        """
        if self.trouble is not None:
            raise self.trouble

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Look every LOOK_SECONDS meanwhile."""
        thread = threading.Thread(target=self._look_on, name="lookout", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            # A look that waits for a database that hangs is left to end with this program.
            thread.join(LOOK_SECONDS)

    def look(self) -> None:
        """Look once."""
        try:
            self._daemon.keep()
        except DatabaseUnavailableError as error:
            if not self.away:
                self._away_since = time.monotonic()
                say(f"{error} {_MEANWHILE}")
            self.away = str(error)
            return
        except BatchAssetsError as error:
            self.trouble = error
            return
        if self.away:
            say(f"The database answers again, after {span(time.monotonic() - self._away_since)}.")
            self.away = ""
        for line in self._lines():
            say(line)

    def _look_on(self) -> None:
        while not self._ended.wait(LOOK_SECONDS) and self.trouble is None:
            self.look()
