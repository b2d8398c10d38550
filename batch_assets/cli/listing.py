"""What the lists have in common: their options, and the three forms in which they are written."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from datetime import datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import typer

from batch_assets.cli.conventions import print_json
from batch_assets.cli.export import write_csv
from batch_assets.cli.screen import Column, console
from batch_assets.domain.display import escaped
from batch_assets.domain.errors import ConfigurationError

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from batch_assets.store.lists import Span

FORMS: Final = ("table", "json", "csv")

Form = Annotated[
    str, typer.Option("--format", metavar="FORM", help="table, json (as --json) or csv.")
]
Since = Annotated[
    str | None, typer.Option("--since", metavar="WHEN", help="Since: 36h, 7d, or a date (UTC).")
]
Limit = Annotated[int, typer.Option("--limit", min=1, max=1_000_000, help="This many at most.")]
MOST: Final = 20

Row = TypeVar("Row")


def form_of(given: str, *, as_json: bool) -> str:
    """Which form is asked for.

    Raises:
        ConfigurationError: There is none of this name, or two are asked for.
    """
    form = chosen("--format", given, FORMS)
    if as_json and form == "csv":
        raise ConfigurationError("--json and --format csv contradict each other: choose one.")
    return "json" if as_json else form


def chosen(option: str, given: str, known: Iterable[str]) -> str:
    """The one of these words that is meant, however it is capitalized.

    Raises:
        ConfigurationError: None is; the sentence names the nearest.
    """
    words = {word.lower(): word for word in known}
    wanted = given.strip().lower().replace(" ", "_")
    if wanted in words:
        return words[wanted]
    nearest = get_close_matches(wanted, words, n=1)
    meant = f" The nearest one is {words[nearest[0]]}." if nearest else ""
    raise ConfigurationError(
        f"{option} is '{escaped(given)}': it must be one of {', '.join(words.values())}.{meant}"
    )


def span_of(engine: Engine, company: str | None, since: str | None) -> Span:
    """Which company and time are meant.

    Raises:
        ConfigurationError: There is no such company, or time.
    """
    from batch_assets.stages.controls.criteria import company_of, time_argument
    from batch_assets.store.lists import Span
    from batch_assets.store.lookups import Lookups

    return Span(
        None if company is None else company_of(Lookups(engine), company).id,
        None if since is None else time_argument("--since", since),
    )


def write_list(
    form: str, name: str, kind: type[Row], rows: Sequence[Row], columns: Sequence[Column[Row]]
) -> None:
    """Write records of a dataclass: `name` is what they are called in JSON."""
    documents: list[dict[str, Any]] = [asdict(row) for row in rows]  # type: ignore[call-overload]
    if form == "json":
        print_json({name: documents})
    elif form == "csv":
        cells = ({key: _cell(value) for key, value in one.items()} for one in documents)
        write_csv(sys.stdout, [one.name for one in fields(kind)], cells)  # type: ignore[arg-type]
    elif rows:
        console().show(columns, rows)


def _cell(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    return " ".join(value) if isinstance(value, tuple) else value
