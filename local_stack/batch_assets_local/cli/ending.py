"""`batch-assets local stop` and `batch-assets local reset`."""

import typer

from batch_assets.cli.conventions import asked
from batch_assets.cli.screen import console
from batch_assets.project_files import PROJECT_DIR
from batch_assets.settings import load_settings
from batch_assets.wiring import DEFAULT_STACK
from batch_assets_local import stack


def stop() -> None:
    """Stop the local stack and wait until it has ended."""
    stack.stop(PROJECT_DIR, name=_name())
    console().say(f"The local stack {_name()} is stopped; its data stay.")


def reset(*, yes: bool) -> None:
    """Stop the local stack and delete its data; asks unless `yes`.

    Raises:
        typer.Abort: the answer was no.
    """
    name = _name()
    directory = stack.state_dir(PROJECT_DIR, name)
    if not directory.exists():
        console().say(f"There is no local stack {name}: nothing to do.")
        return
    question = f"Delete the local stack {name} with its database and Dagster's history?"
    if not asked(question, command="local reset", yes=yes, has_dry_run=False):
        raise typer.Abort
    stack.reset(PROJECT_DIR, name=name)
    console().say(f"The local stack {name} is gone; the next command makes a new one.")


def _name() -> str:
    return load_settings().local_stack or DEFAULT_STACK
