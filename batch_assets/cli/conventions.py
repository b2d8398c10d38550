"""What the commands have in common: options, questions, how numbers are written, and `--json`.

`screen.py` has the terminal on which all of it is shown.
"""

import dataclasses
import json
import sys
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Annotated, Any

import typer

from batch_assets.cli.screen import errors
from batch_assets.domain.display import escaped, escaped_json, euros
from batch_assets.domain.errors import ConfigurationError
from batch_assets.domain.former_names import with_former_names

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document, nothing else.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]
OfCompany = Annotated[str | None, typer.Option("--company", help="Of this company: id or name.")]
OfCode = Annotated[str | None, typer.Option("--code", help="With this code, as listed.")]
OfKind = Annotated[str | None, typer.Option("--kind", help="Of this kind, such as transient.")]


def port_of(given: str | int) -> int:
    """Read a port, for an option whose help shows no range, which leaves too little room for names.

    Raises:
        typer.BadParameter: It is none.
    """
    text = str(given)
    if not (text.isdecimal() and 1 <= int(text) <= 65_535):
        raise typer.BadParameter(f"'{text}' is no port: it must be a number from 1 to 65535.")
    return int(text)


Port = Annotated[
    int, typer.Option("--port", "-p", metavar="PORT", parser=port_of, help="The UI's port.")
]


def option(field: str) -> str:
    """How a field is called as an option: `older_than` is `--older-than`."""
    return "--" + field.replace("_", "-")


def asked(question: str, *, command: str, yes: bool, has_dry_run: bool = True) -> bool:
    """Say whether to go on; asks unless `yes`.

    Raises:
        ConfigurationError: There is no terminal to ask on.
    """
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


def count(number: int) -> str:
    """A number of things, with commas; from a million on in millions."""
    return f"{number:,}" if number < 1_000_000 else f"{number / 1_000_000:,.2f} M"


def cost(amount: float, unpriced: int) -> str:
    """What answers have cost, some of which have a cost that is not known."""
    if not unpriced:
        return euros(amount)
    return f"{euros(amount)} + ?" if amount else "unknown"


def plural(number: int, thing: str, things: str | None = None) -> str:
    """`1 session`, `2 sessions`; irregular words give their plural."""
    return f"{count(number)} {thing if number == 1 else things or thing + 's'}"


def moment(at: datetime | None) -> str:
    """A moment, to the minute."""
    return "" if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def print_json(document: Mapping[str, Any]) -> None:
    """Write the one thing that a command with --json writes to stdout.

    Dataclasses become objects. What was renamed is there under its former name, too.
    """
    both = _with_former_names(document)
    text = json.dumps(both, indent=2, ensure_ascii=not _is_unicode(), default=_plain)
    sys.stdout.write(f"{escaped_json(text)}\n")


def _is_unicode() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"


def _with_former_names(value: object) -> object:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return with_former_names({key: _with_former_names(one) for key, one in value.items()})
    if isinstance(value, list | tuple):
        return [_with_former_names(one) for one in value]
    return value


def _plain(value: object) -> object:
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no form in JSON")
