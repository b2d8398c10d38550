"""Where logs are opened: a record is one line that steers no terminal, whatever it quotes."""

import logging
import re
from typing import Final

from batch_assets.domain.display import escaped

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
