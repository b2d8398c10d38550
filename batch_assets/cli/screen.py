"""How sentences and records are shown: on a terminal of any width, or in a pipe."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from io import TextIOWrapper
from typing import Generic, TextIO, TypeVar

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from batch_assets.domain.display import escaped

Row = TypeVar("Row")
Thing = TypeVar("Thing")

USUAL_COLUMNS = 80
"""Of a terminal that does not say how wide it is."""
USUAL_LINES = 25
LEAST_HELP_COLUMNS = 40
"""Help is laid out for at least so many: in fewer the names of options would be cut."""
_ENDLESS = 1_000_000
"""As wide as a pipe: nothing is folded or cut in it."""
_LEAST_PROSE = 28
"""A column of prose may be made as narrow as that for a table to fit."""


@dataclass(frozen=True, slots=True)
class Column(Generic[Row]):
    """What records of a kind show: a column of their table, or a line of each.

    A heading may stand on two lines of a terminal, and `-` before the break divides a word; `name`
    is what it is called on one line, where that says more. Prose may be broken between words; all
    else is a name, an id or a number, and stays whole. A column that is shown `only_if_any` is left
    out where all its numbers are 0.
    """

    heading: str
    cell: Callable[[Row], str]
    name: str = ""
    is_number: bool = False
    is_prose: bool = False
    only_if_any: bool = False

    @property
    def key(self) -> str:
        """The heading on one line."""
        return self.name or self.heading.replace("-\n", "").replace("\n", " ")


def number(
    heading: str, cell: Callable[[Row], str], name: str = "", *, only_if_any: bool = False
) -> Column[Row]:
    """A column of numbers, which stand to the right."""
    return Column(heading, cell, name, is_number=True, only_if_any=only_if_any)


class Screen:
    """A terminal or a pipe. Nothing that is shown there is taken for markup or steers it."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self.columns = terminal_columns(file)
        """`None`: this is no terminal and has no width."""
        self.console = Console(
            file=file,
            width=self.columns or _ENDLESS,
            height=USUAL_LINES,
            markup=False,
            highlight=False,
            emoji=False,
        )

    def say(self, text: str = "", *, indent: int = 0, style: str = "") -> None:
        """Print a line; a terminal gets it broken between words, never within one.

        Line ends before and after it are empty lines; one within is part of what is quoted.
        """
        self._skip(len(text) - len(text.lstrip("\n")) if text.strip() else 0)
        for part in self.broken(escaped(text), indent):
            self.console.print(Text(part, style), soft_wrap=True)
        self._skip(len(text) - len(text.rstrip("\n")))

    def clear(self) -> None:
        """Begin anew at the top of a terminal; in a pipe nothing can be taken back."""
        self.console.clear()

    @contextmanager
    def from_the_top(self, of_the_rest: str) -> Iterator[None]:
        """Let a terminal show the beginning of what is shown meanwhile, and not its end.

        Where it has too few lines for all, the last one says `of_the_rest`, in which `{lines}` are
        those that are left out. A pipe takes everything.
        """
        height = terminal_lines(self._file) if self.columns is not None else None
        if height is None:
            yield
            return
        with self.console.capture() as captured:
            yield
        lines = captured.get().splitlines()
        if len(lines) >= height:
            # What is said of the rest may be broken, and the cursor has a line of its own.
            shorter = self.broken(of_the_rest.format(lines=len(lines)))
            kept = max(1, height - 1 - len(shorter))
            lines = lines[:kept] + self.broken(of_the_rest.format(lines=len(lines) - kept))
        self._file.write("\n".join(lines) + "\n")
        self._file.flush()

    def _skip(self, lines: int) -> None:
        for _ in range(lines):
            self.console.print()

    def field(self, key: str, value: str, *, is_prose: bool = False) -> None:
        """Print a line `key: value`, unless there is no value.

        A name or an id that is too long for it has a line of its own, whole, even if the terminal
        has to break that.
        """
        line = f"{escaped(key)}: {escaped(value)}"
        if not value:
            return
        if is_prose or self._fits(line):
            self.say(line)
        else:
            self.say(f"{escaped(key)}:")
            self.console.print(Text(escaped(value)), soft_wrap=True)

    def show(
        self, columns: Sequence[Column[Row]], rows: Iterable[Row], total: Sequence[str] = ()
    ) -> None:
        """Print records: as a table if the terminal is wide enough for each, else field by field.

        `total` are the cells of a last row: its name, then sums, empty where there is nothing to
        add up. An empty line follows.
        """
        if self.columns is None:
            columns = [replace(column, heading=column.key) for column in columns]
        cells = [[escaped(column.cell(row)) for column in columns] for row in rows]
        total = [escaped(cell) for cell in total]
        for at in reversed(range(len(columns))):
            if columns[at].only_if_any and all(row[at] == "0" for row in cells):
                columns, total = _without(columns, at), _without(total, at)
                cells = [_without(row, at) for row in cells]
        widths = self._widths(columns, [*cells, total] if total else cells)
        if widths is not None:
            self.console.print(_table(columns, widths, cells, total))
            self.say()
            return
        for row in cells:
            self._show_fields(columns, row)
        if total:
            self.say(total[0], style="bold")
            self._show_fields(columns[1:], total[1:])

    def _show_fields(self, columns: Sequence[Column[Row]], cells: Sequence[str]) -> None:
        for column, cell in zip(columns, cells, strict=True):
            self.field(column.key, cell, is_prose=column.is_prose)
        self.say()

    def _widths(
        self, columns: Sequence[Column[Row]], rows: Sequence[Sequence[str]]
    ) -> list[int] | None:
        """How wide each column of a table is; `None` if the terminal is too narrow for that."""
        widths = [
            max(map(cell_len, [*column.heading.split("\n"), *(row[at] for row in rows)]))
            for at, column in enumerate(columns)
        ]
        excess = sum(widths) + len(widths) - 1 - (self.columns or _ENDLESS)
        for at, column in enumerate(columns):
            if column.is_prose and excess > 0:
                words = (word for row in rows for word in row[at].split(" "))
                least = max(_LEAST_PROSE, *map(cell_len, words))
                given_up = max(0, min(excess, widths[at] - least))
                widths[at] -= given_up
                excess -= given_up
        return widths if excess <= 0 else None

    def broken(self, line: str, indent: int = 0) -> list[str]:
        """A line in parts that fit; a word that is wider than the terminal is a part alone."""
        margin = " " * indent
        parts = [""]
        for word in line.split(" "):
            longer = f"{parts[-1]} {word}" if parts[-1] else word
            if parts[-1] and not self._fits(margin + longer):
                parts.append(word)
            else:
                parts[-1] = longer
        return [margin + part if self._fits(margin + part) else part for part in parts]

    def _fits(self, line: str) -> bool:
        return cell_len(line) <= (self.columns or _ENDLESS)


def console() -> Screen:
    """For results."""
    return Screen(sys.stdout)


def errors() -> Screen:
    """For errors and remarks."""
    return Screen(sys.stderr)


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


def terminal_lines(file: TextIO) -> int | None:
    """How many lines the terminal has to which a file leads; `None` where nothing says so."""
    with suppress(OSError):
        return os.get_terminal_size(file.fileno()).lines or None
    return None


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


def _without(things: Sequence[Thing], at: int) -> list[Thing]:
    return [*things[:at], *things[at + 1 :]]


def _table(
    columns: Sequence[Column[Row]],
    widths: Sequence[int],
    rows: Sequence[Sequence[str]],
    total: Sequence[str],
) -> Table:
    made = Table(box=SIMPLE_HEAD, padding=0, show_edge=False)
    for column, width in zip(columns, widths, strict=True):
        made.add_column(
            column.heading,
            justify="right" if column.is_number else "left",
            width=width,
            no_wrap=not column.is_prose,
        )
    for row in rows:
        made.add_row(*map(Text, row))
    if total:
        made.add_section()
        made.add_row(*(Text(cell, "bold") for cell in total))
    return made


def _columns_by_environment() -> int | None:
    given = os.environ.get("COLUMNS", "")
    return int(given) if given.isdecimal() and int(given) else None
