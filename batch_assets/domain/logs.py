"""Where logs are opened: a record is one line that steers no terminal, whatever it quotes."""

import logging

from batch_assets.domain.display import escaped


class OneLine(logging.Filter):
    """Escapes what is logged once its parts are in it, before any handler sees the record.

    Few parts are ours: companies' names, models, server codes and errors are others' text.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Let each record pass."""
        record.msg, record.args = escaped(record.getMessage()), ()
        return True


def open_log(name: str) -> logging.Logger:
    """The logger of a module; a filter at a logger above it would not see its records."""
    return guarded(logging.getLogger(name))


def guarded(log: logging.Logger) -> logging.Logger:
    """The same logger, whose records are escaped; guarding it twice is guarding it once."""
    log.addFilter(_ONE_LINE)
    return log


_ONE_LINE = OneLine()
