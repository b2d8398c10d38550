"""The bar that the demo shows on a terminal while its conversations are analysed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from batch_assets.cli.screen import Screen

WIDE = 78
"""Columns that the whole line takes."""
NARROW = 48
"""Columns that it takes without saying where the others are."""


@contextmanager
def progress(shown: Screen, conversations: int) -> Iterator[Callable[[int, str], None]]:
    """A bar over so many conversations, told how many are left and where those are.

    It begins at 0 % and is gone at the end. Without a terminal there is none, and nothing but what
    is printed is seen.
    """
    columns = _columns(shown.columns or WIDE)
    bar = Progress(*columns, console=shown.console, transient=True, disable=shown.columns is None)
    with bar:
        task = bar.add_task("", total=conversations)

        def show(left: int, where: str) -> None:
            done = max(0, conversations - left)
            bar.update(task, completed=done, description=where)

        yield show


def _columns(room: int) -> list[ProgressColumn]:
    """What there is room for: nothing is cut."""
    columns: list[ProgressColumn] = [
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.completed:,.0f}/{task.total:,.0f} done"),
    ]
    if room >= NARROW:
        bar = BarColumn(bar_width=16)
        columns = [SpinnerColumn("line"), bar, *columns, TimeElapsedColumn()]
    if room >= WIDE:
        columns.insert(-1, TextColumn("{task.description}"))
    return columns
