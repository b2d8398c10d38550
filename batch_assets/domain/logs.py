"""Where logs are opened: a record is one line that steers no terminal, whatever it quotes."""

import logging
import re
import threading
from types import TracebackType
from typing import Final, Self

from batch_assets.domain.display import escaped

MOST_OF_A_KIND: Final = 5
"""How many warnings of one kind are logged; every line is an event of the run."""

_LINK: Final = re.compile(r":(?=//)|(?<=\bwww)\.", re.IGNORECASE)
"""Where Dagster's UI, and many a terminal, make a link of what a log says."""


class OneLine(logging.Filter):
    """Escapes what is logged once its parts are in it, before any handler sees the record.

    Few parts are ours: companies' names, models, server codes and errors are others' text. An
    address is written `http[:]//example.com`, as where hostile ones are reported.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Let each record pass."""
        record.msg, record.args = _LINK.sub(r"[\g<0>]", escaped(record.getMessage())), ()
        return True


def open_log(name: str) -> logging.Logger:
    """The logger of a module; a filter at a logger above it would not see its records."""
    return guarded(logging.getLogger(name))


def guarded(log: logging.Logger) -> logging.Logger:
    """The same logger, whose records are escaped; guarding it twice is guarding it once."""
    log.addFilter(_ONE_LINE)
    return log


_ONE_LINE = OneLine()


class RateLimitedLogger:
    """Logs the first warnings of each kind, then how many more there were; threads may share it.

    Kinds are told apart by their text without its arguments. On the way out one line says how many
    of a kind there were beyond `MOST_OF_A_KIND`, and what the last was.
    """

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._lock = threading.Lock()
        self._seen: dict[str, tuple[int, tuple[object, ...]]] = {}

    def warning(self, sentence: str, *parts: object) -> None:
        """Log a warning, if it is not one too many of its kind."""
        with self._lock:
            number = self._seen.get(sentence, (0, ()))[0] + 1
            self._seen[sentence] = (number, parts)
        if number <= MOST_OF_A_KIND:
            self._log.warning(sentence, *parts)

    def close(self) -> None:
        """Log how many were left out, and begin anew."""
        with self._lock:
            seen, self._seen = self._seen, {}
        for sentence, (number, parts) in seen.items():
            if number > MOST_OF_A_KIND:
                self._log.warning(
                    "And %d more like it, the last: %s", number - MOST_OF_A_KIND, sentence % parts
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
