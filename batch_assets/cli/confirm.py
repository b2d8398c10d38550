"""`batch-assets confirm`: an operator says that this database may submit."""

from typing import Annotated

import typer

from batch_assets.cli.conventions import Yes, asked, plural
from batch_assets.cli.opening import OpenDatabase, open_database, require_account, who
from batch_assets.cli.screen import console
from batch_assets.domain.errors import ConfigurationError, SubmissionHeldError
from batch_assets.store.installation import Installation

commands = typer.Typer()


@commands.command()
def confirm(
    copy: Annotated[
        bool, typer.Option("--copy", help="This database is a copy and both live on.")
    ] = False,
    moved: Annotated[
        bool,
        typer.Option("--moved", help="This one goes on alone: moved, put back, promoted."),
    ] = False,
    yes: Yes = False,
) -> None:
    """Allow the job to submit from this database."""
    if copy and moved:
        raise ConfigurationError("--copy and --moved contradict each other: choose one.")
    with open_database() as database:
        installation = database.registry.installation()
        decided = copy or moved
        _check(installation, decided=decided)
        shown = console()
        _describe(database)
        if installation.is_confirmed and not decided:
            shown.say("Submissions from it are allowed already.")
            return
        require_account(database.endpoints)
        command = "confirm" + " --copy" * copy + " --moved" * moved
        question = "Allow the job to submit from this database?"
        if not asked(question, command=command, yes=yes, has_dry_run=False):
            shown.say("Nothing was changed.")
            raise typer.Exit(1)
        if decided:
            database.registry.make_home(who(), as_copy=copy)
        else:
            database.registry.confirm(who())
        shown.say("Submissions from it are allowed now: the next run of the job begins.")


def _check(installation: Installation, *, decided: bool) -> None:
    if installation.needs_decision and not decided:
        raise SubmissionHeldError(installation.hold_reason or "")
    if installation.may_touch and decided:
        raise ConfigurationError(
            "This database is the one that was installed, no copy, and has not moved, as far as "
            "is known: leave --copy and --moved out."
        )


def _describe(database: OpenDatabase) -> None:
    companies = [row for row in database.queries.statistics() if row.status == "ACTIVE"]
    pending = sum(row.waiting for row in companies)
    charged = "nobody" if database.endpoints.is_local else "the account of OPENAI_API_KEY"
    shown = console()
    shown.say(f"The {database.place}:")
    shown.say(
        f"{plural(pending, 'request')} of "
        f"{plural(len(companies), 'active company', 'active companies')} waiting now",
        indent=2,
    )
    shown.say(f"charged to {charged}", indent=2)
