"""What stages say of things of which there may be thousands: the first few, then how many more."""

import logging
import threading
from types import TracebackType
from typing import Final, Self

MOST: Final = 5
"""Of each kind; every line is an event of the run."""


class Few:
    """Warnings of some kinds, told apart by their text without its arguments; threads may share it.

    On the way out one line says how many of a kind there were beyond `MOST`, and what the last was.
    """

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._lock = threading.Lock()
        self._seen: dict[str, tuple[int, tuple[object, ...]]] = {}

    def warning(self, sentence: str, *parts: object) -> None:
        """Say it, if it is not one too many of its kind."""
        with self._lock:
            number = self._seen.get(sentence, (0, ()))[0] + 1
            self._seen[sentence] = (number, parts)
        if number <= MOST:
            self._log.warning(sentence, *parts)

    def close(self) -> None:
        """Say how many were left out, and begin anew."""
        with self._lock:
            seen, self._seen = self._seen, {}
        for sentence, (number, parts) in seen.items():
            if number > MOST:
                self._log.warning(
                    "And %d more like it, the last: %s", number - MOST, sentence % parts
                )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.close()
