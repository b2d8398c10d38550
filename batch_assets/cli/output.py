"""How things are shown: consoles, tables of 80 columns, numbers, one JSON document."""

import dataclasses
import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from batch_assets.domain.errors import ConfigurationError


def console() -> Console:
    """For results. Nothing in what is printed is taken for markup."""
    return Console(markup=False, highlight=False, emoji=False)


def errors() -> Console:
    """For errors and remarks: stderr, and no line broken where the terminal breaks it anyway."""
    return Console(stderr=True, markup=False, highlight=False, emoji=False, soft_wrap=True)


def print_json(document: Mapping[str, Any]) -> None:
    """The one thing that a command with --json writes to stdout. Dataclasses become objects."""
    json.dump(document, sys.stdout, indent=2, ensure_ascii=False, default=_plain)
    sys.stdout.write("\n")


def table(texts: list[str], numbers: list[str]) -> Table:
    """An empty table: columns of text to the left, columns of numbers to the right."""
    made = Table(box=SIMPLE_HEAD, padding=0, show_edge=False)
    for heading in texts:
        made.add_column(heading, overflow="fold")
    for heading in numbers:
        made.add_column(heading, justify="right", no_wrap=True)
    return made


def total(*cells: str) -> list[Text]:
    """The cells of a table's last row."""
    return [Text(cell, style="bold") for cell in cells]


def count(number: int) -> str:
    """A number of things, with commas; from a million on in millions."""
    return f"{number:,}" if number < 1_000_000 else f"{number / 1_000_000:,.2f} M"


def euros(amount: float) -> str:
    """An amount; below one euro with as many digits as it takes to see it."""
    return f"{amount:,.2f}" if amount >= 1 else f"{amount:.4f}"


def plural(number: int, thing: str, things: str | None = None) -> str:
    """`1 session`, `2 sessions`; irregular words give their plural."""
    return f"{count(number)} {thing if number == 1 else things or thing + 's'}"


def option(field: str) -> str:
    """How a field is called as an option: `older_than` is `--older-than`."""
    return "--" + field.replace("_", "-")


def moment(at: datetime | None) -> str:
    """A moment, to the minute."""
    return "" if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def asked(question: str, *, command: str, yes: bool) -> bool:
    """Whether to go on; asks unless `yes`. Raises `ConfigurationError` where nobody is there."""
    if yes:
        return True
    if not sys.stdin.isatty():
        raise ConfigurationError(
            f"There is no terminal to ask on: type `batch-assets {command} --yes` to do it, or "
            "--dry-run to see what it would do."
        )
    return typer.confirm(question, err=True)


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no form in JSON")
