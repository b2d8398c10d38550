"""`batch-assets mode` and `batch-assets compare`: original or optimized, and how they differ."""

from collections.abc import Sequence
from typing import Annotated

import typer

from batch_assets.cli.conventions import AsJson, count, option, print_json
from batch_assets.cli.opening import open_database, who
from batch_assets.cli.screen import Column, console, number
from batch_assets.stages.controls.query_mode import (
    CompareReport,
    choose_mode,
    compare_queries,
    read_mode,
)
from batch_assets.store.strategy import Compared, CompareLimits

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
def mode(
    wanted: Annotated[
        str | None,
        typer.Argument(metavar="MODE", help="true, false, optimized or environment."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show or choose how all runs work on the database."""
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
    """Compare original and optimized on the live data, read-only."""
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
