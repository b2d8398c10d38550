"""What an operator switches: `confirm`, `mode` and `compare`, `reset` and `reset-stages`.

Whether this database may submit; original or optimized, and how they differ; what failures or
others have left is put right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from batch_assets.cli.conventions import (
    AsJson,
    DryRun,
    Yes,
    asked,
    count,
    option,
    plural,
    print_json,
)
from batch_assets.cli.opening import OpenDatabase, open_database, require_account, who
from batch_assets.cli.screen import Column, console, number
from batch_assets.domain.errors import ConfigurationError, SubmissionHeldError

if TYPE_CHECKING:
    from batch_assets.stages.controls.query_mode import CompareReport
    from batch_assets.store.installation import Installation
    from batch_assets.store.strategy import Compared

commands = typer.Typer()
_COLUMNS: Sequence[Column[Compared]] = (
    Column("Operation", lambda one: one.query + (" *" if one.is_shared else "")),
    Column("Result", lambda one: str(one.verdict)),
    number("Rows", lambda one: count(one.rows)),
    number("Orig.\nstmts", lambda one: count(one.original_statements), "Original statements"),
    number("Opt.\nstmts", lambda one: count(one.optimized_statements), "Optimized statements"),
    number("Orig.\ns", lambda one: f"{one.original_seconds:.4f}", "Original seconds"),
    number("Opt.\ns", lambda one: f"{one.optimized_seconds:.4f}", "Optimized seconds"),
    number("Ratio", lambda one: "" if one.ratio is None else f"{one.ratio:.1f}"),
)


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


@commands.command()
def mode(
    wanted: Annotated[
        str | None,
        typer.Argument(metavar="MODE", help="true, false, optimized or environment."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show or choose how all runs work on the database."""
    from batch_assets.stages.controls.query_mode import choose_mode, read_mode

    with open_database() as database:
        environment = database.settings.toggle().mode
        if wanted is None:
            report = read_mode(database.stored_modes, environment)
        else:
            report = choose_mode(database.stored_modes, environment, wanted, who())
    if as_json:
        print_json({"mode": report.mode, "stored": report.now, "environment": report.environment})
    else:
        console().say(report.sentence)


@commands.command()
def compare(
    *,
    seconds: Annotated[float, typer.Option(metavar="S", help="Per call, at most.")] = 10.0,
    companies: Annotated[int, typer.Option(metavar="N", help="Active companies.")] = 1_000,
    batches: Annotated[int, typer.Option(metavar="N", help="Newest batches.")] = 20,
    rows: Annotated[int, typer.Option(metavar="N", help="Rows of these.")] = 2_000,
    as_json: AsJson = False,
) -> None:
    """Compare original and optimized on the present data, read-only."""
    from batch_assets.stages.controls.query_mode import compare_queries
    from batch_assets.store.strategy import CompareLimits

    with open_database() as database:
        limits = CompareLimits(seconds, companies, batches, rows)
        report = compare_queries(database.engine, limits, option)
    if as_json:
        print_json({"compared": list(map(_entry, report.compared)), "totals": report.totals})
    else:
        _show(report)
    if report.different:
        raise typer.Exit(1)


def _entry(one: Compared) -> dict[str, object]:
    return {
        "operation": one.query,
        "result": one.verdict,
        "has_two_implementations": not one.is_shared,
        "rows": one.rows,
        "different_rows": one.different_rows,
        "original": {"statements": one.original_statements, "seconds": one.original_seconds},
        "optimized": {"statements": one.optimized_statements, "seconds": one.optimized_seconds},
        "ratio": one.ratio,
    }


def _show(report: CompareReport) -> None:
    shown = console()
    sums = report.totals
    total = [
        "Those with two",
        "",
        "",
        count(int(sums["original_statements"])),
        count(int(sums["optimized_statements"])),
        f"{sums['original_seconds']:.4f}",
        f"{sums['optimized_seconds']:.4f}",
        f"{sums['ratio']:.1f}",
    ]
    shown.show(_COLUMNS, report.compared, total)
    shown.say("* one statement in both. Nothing was changed.")
    for one in report.different:
        shown.say(
            f"{one.query} gives {count(one.different_rows)} different rows: `batch-assets mode "
            "false` leaves optimized, and please report it."
        )


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
    from batch_assets.stages.controls import reset as stage

    if names and every:
        raise ConfigurationError("Give names or say --all, not both.")
    with open_database() as database:
        report = stage.resume(
            database.engine,
            names or [],
            who(),
            dry_run=dry_run,
            account_names=database.settings.account_names,
        )
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
    from batch_assets.stages.controls import reset as stage

    with open_database() as database:
        report = stage.correct_stages(database.engine, dry_run=dry_run)
    if as_json:
        print_json(asdict(report))
        return
    for line in report.sentences:
        console().say(line)
