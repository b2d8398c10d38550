"""`batch-assets settings`: what each setting is here, what it may be, and what it means."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from batch_assets.cli.conventions import AsJson, print_json
from batch_assets.cli.screen import Column, console
from batch_assets.domain.errors import ConfigurationError

if TYPE_CHECKING:
    from batch_assets.settings import Settings
    from batch_assets.settings.fields import Declared

commands = typer.Typer()

_SET: Final = "set"
"""What is shown of a value that is, or may be, a secret."""
_LINK: Final = re.compile(r"\[([^]]*)\]\([^)]*\)")


@commands.command()
def settings(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="Only these; else all of them.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what each setting is here, what it may be, and what it means."""
    from batch_assets.settings import load_settings

    shown = _asked_for(names or [])
    values = _values(load_settings())
    if as_json:
        print_json({"settings": [_document(one, values) for one in shown]})
        return
    columns: Sequence[Column[Declared]] = (
        Column("Name", lambda one: one.name),
        Column("Here", lambda one: _text(values[one.name])),
        Column("Allowed", lambda one: one.allowed, is_prose=True),
        Column("Meaning", lambda one: _plain(one.meaning), is_prose=True),
    )
    console().show(columns, shown)


def _asked_for(names: Sequence[str]) -> Sequence[Declared]:
    from batch_assets.settings import all_settings

    known = {one.name: one for one in all_settings()}
    for name in names:
        if name.upper() not in known:
            nearest = get_close_matches(name.upper(), known, n=1)
            meant = f": the nearest one is {nearest[0]}" if nearest else ""
            raise ConfigurationError(f"There is no setting '{name}'{meant}.")
    return [known[name.upper()] for name in names] or list(known.values())


def _values(here: Settings) -> Mapping[str, Any]:
    """What each setting is, or that it is set where that is nobody's business."""
    from batch_assets.settings import all_settings
    from batch_assets.settings.secrecy import may_be_secret, secrets_in

    found = [(one, getattr(here, one.attribute)) for one in all_settings()]
    declared = [value for one, value in found if one.is_secret and value is not None]
    secrets = secrets_in(value.get_secret_value() for value in declared)

    def is_shown(one: Declared, value: Any) -> bool:
        if value is None or value == one.default:
            return True
        return not (one.is_secret or may_be_secret(_text(value), secrets))

    return {one.name: value if is_shown(one, value) else _SET for one, value in found}


def _document(one: Declared, values: Mapping[str, Any]) -> Mapping[str, Any]:
    value = values[one.name]
    return {
        "name": one.name,
        "value": value if isinstance(value, bool | int | float | dict | None) else _text(value),
        "default": one.default,
        "allowed": one.allowed,
        "meaning": _plain(one.meaning),
    }


def _text(value: Any) -> str:
    if value is None or value == {}:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}" if value < 1e6 else f"{value:.0f}"
    if isinstance(value, tuple):
        return ",".join(value)
    if isinstance(value, dict):
        return ",".join(f"{name}={other}" for name, other in value.items())
    return str(value)


def _plain(markdown: str) -> str:
    """A meaning without Markdown: of a link to a page its name, of others the words."""
    words = _LINK.sub(lambda link: f"docs/{link[1]}" if ".md" in link[1] else link[1], markdown)
    return words.replace("see below", "see docs/configuration.md").replace("`", "")
