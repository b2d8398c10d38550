"""What stdout and stderr lead to: a terminal of some width, or a pipe."""

import os
import sys
from contextlib import suppress
from io import TextIOWrapper
from typing import TextIO

USUAL_COLUMNS = 80
"""Of a terminal that does not say how wide it is."""
USUAL_LINES = 25
LEAST_HELP_COLUMNS = 40
"""Help is laid out for at least so many: in fewer the names of options would be cut."""


def terminal_columns(file: TextIO) -> int | None:
    """How wide the terminal is to which a file leads; `None` for a pipe and anything else.

    The terminal's own word counts; COLUMNS does where it has none, as over a serial line.
    """
    if not file.isatty():
        return None
    with suppress(OSError):
        columns = os.get_terminal_size(file.fileno()).columns
        if columns:
            return columns
    return _columns_by_environment() or USUAL_COLUMNS


def settle_streams() -> None:
    r"""Let this process write to whatever stdout and stderr are.

    Help is laid out by a library that takes a terminal for 80 columns wide if TERM is unknown to
    it, and that believes in any COLUMNS. A character that the encoding lacks becomes `\u4e2d`.
    """
    columns = terminal_columns(sys.stdout) or terminal_columns(sys.stderr)
    if columns is not None:
        os.environ["COLUMNS"] = str(max(columns, LEAST_HELP_COLUMNS))
        os.environ["LINES"] = str(USUAL_LINES)
    elif (_columns_by_environment() or 0) < LEAST_HELP_COLUMNS:
        os.environ.pop("COLUMNS", None)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _columns_by_environment() -> int | None:
    given = os.environ.get("COLUMNS", "")
    return int(given) if given.isdecimal() and int(given) else None
