"""`batch-assets local …` with its options."""

import typer

from batch_assets.cli.options import Yes, work

group = typer.Typer(no_args_is_help=True, help="Stop or empty the local stack.")


@group.command()
def stop() -> None:
    """Stop the local stack now, whoever uses it. Its data stay."""
    work("local_stack").stop()


@group.command()
def reset(yes: Yes = False) -> None:
    """Stop the local stack and delete all that is in it."""
    work("local_stack").reset(yes=yes)
