"""Options that several commands have, and how a command finds its work."""

from importlib import import_module
from typing import Annotated, Any

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document, nothing else.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]
OfCompany = Annotated[str | None, typer.Option("--company", help="Of this company: id or name.")]
OfCode = Annotated[str | None, typer.Option("--code", help="With this code, as listed.")]
OfKind = Annotated[str | None, typer.Option("--kind", help="Of this kind, such as transient.")]


def work(name: str) -> Any:
    """The module of this package that does a command's work; see the package on why only now."""
    return import_module(f"batch_assets.cli.{name}")
