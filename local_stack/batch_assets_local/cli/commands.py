"""The commands with their options; each one's work is imported by that command alone."""

from importlib import import_module
from typing import Any

import typer

from batch_assets.cli.conventions import Yes
from batch_assets.cli.env_file import CommandWithoutSettings

app = typer.Typer()
group = typer.Typer(no_args_is_help=True, help="Stop or empty the local stack.")


@app.command(cls=CommandWithoutSettings)
def demo() -> None:
    """See it work: sample conversations through the job, on the local stack."""
    _work("demo").run_demo()


@group.command()
def stop() -> None:
    """Stop the local stack now, whoever uses it. Its data stay."""
    _work("ending").stop()


@group.command()
def reset(yes: Yes = False) -> None:
    """Stop the local stack and delete all that is in it."""
    _work("ending").reset(yes=yes)


app.add_typer(group, name="local")


def _work(name: str) -> Any:
    """The module of this package that does a command's work."""
    return import_module(f"batch_assets_local.cli.{name}")
