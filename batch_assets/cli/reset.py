"""`batch-assets reset` and `reset-stages`: what failures or others have left is put right."""

from dataclasses import asdict
from typing import Annotated

import typer

from batch_assets.cli.conventions import AsJson, DryRun, print_json
from batch_assets.cli.opening import open_database, who
from batch_assets.cli.screen import console
from batch_assets.domain.errors import ConfigurationError
from batch_assets.stages.controls import reset as stage

commands = typer.Typer()


@commands.command("reset")
def reset_breakers(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME", help="These alone: API operations, or account."),
    ] = None,
    *,
    every: Annotated[
        bool, typer.Option("--all", help="All breakers and cooldowns; so does no NAME.")
    ] = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Let calls and scheduled runs go on now that were stopped after failures."""
    if names and every:
        raise ConfigurationError("Give names or say --all, not both.")
    with open_database() as database:
        report = stage.resume(database.engine, names or [], who(), dry_run=dry_run)
    if as_json:
        print_json(
            {
                "dry_run": report.dry_run,
                "operations": report.operations,
                "account_resumed": report.account,
                "schedule_resumed": report.schedule,
            }
        )
        return
    for line in report.sentences:
        console().say(line)


@commands.command("reset-stages")
def reset_stages(dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """Set right which stage each session is in, after LiveDash or somebody left one behind."""
    with open_database() as database:
        report = stage.correct_stages(database.engine, dry_run=dry_run)
    if as_json:
        print_json(asdict(report))
        return
    for line in report.sentences:
        console().say(line)
