"""How numbers and moments are written, what is asked, and the one document of `--json`.

`screen.py` has the terminal on which they are shown.
"""

import dataclasses
import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import typer

from batch_assets.cli.screen import Column, Screen, console, errors, number
from batch_assets.domain.display import escaped, escaped_json
from batch_assets.domain.errors import ConfigurationError

__all__ = [
    "Column",
    "Screen",
    "asked",
    "confirmed",
    "console",
    "cost",
    "count",
    "errors",
    "euros",
    "moment",
    "number",
    "option",
    "plural",
    "print_json",
]


def print_json(document: Mapping[str, Any]) -> None:
    """The one thing that a command with --json writes to stdout. Dataclasses become objects."""
    text = json.dumps(document, indent=2, ensure_ascii=not _is_unicode(), default=_plain)
    sys.stdout.write(f"{escaped_json(text)}\n")


def count(number: int) -> str:
    """A number of things, with commas; from a million on in millions."""
    return f"{number:,}" if number < 1_000_000 else f"{number / 1_000_000:,.2f} M"


def euros(amount: float) -> str:
    """An amount; below one euro with as many digits as it takes to see it."""
    return f"{amount:,.2f}" if amount >= 1 else f"{amount:.4f}"


def cost(amount: float, unpriced: int) -> str:
    """What answers have cost, some of which have a cost that is not known."""
    if not unpriced:
        return euros(amount)
    return f"{euros(amount)} + ?" if amount else "unknown"


def plural(number: int, thing: str, things: str | None = None) -> str:
    """`1 session`, `2 sessions`; irregular words give their plural."""
    return f"{count(number)} {thing if number == 1 else things or thing + 's'}"


def option(field: str) -> str:
    """How a field is called as an option: `older_than` is `--older-than`."""
    return "--" + field.replace("_", "-")


def moment(at: datetime | None) -> str:
    """A moment, to the minute."""
    return "" if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def asked(question: str, *, command: str, yes: bool, has_dry_run: bool = True) -> bool:
    """Whether to go on; asks unless `yes`. Raises `ConfigurationError` where nobody is there."""
    if yes:
        return True
    if not sys.stdin.isatty():
        otherwise = ", or --dry-run to see what it would do" if has_dry_run else ""
        raise ConfigurationError(
            f"There is no terminal to ask on: type `batch-assets {command} --yes` to do "
            f"it{otherwise}."
        )
    return confirmed(question)


def confirmed(question: str) -> bool:
    """Ask somebody who is there, on stderr."""
    text = "\n".join(errors().broken(f"{escaped(question)} [y/N]:"))
    return typer.confirm(text, show_default=False, prompt_suffix=" ", err=True)


def _is_unicode() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no form in JSON")
