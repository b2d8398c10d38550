"""`batch-assets compare`."""

from collections.abc import Sequence

import typer

from batch_assets.cli.opening import open_database
from batch_assets.cli.output import Column, console, count, number, option, print_json
from batch_assets.stages.controls.query_mode import CompareReport, compare_queries
from batch_assets.store.strategy import Compared, CompareLimits

_COLUMNS: Sequence[Column[Compared]] = (
    Column("Operation", lambda one: one.operation + (" *" if one.is_shared else "")),
    Column("Result", lambda one: str(one.verdict)),
    number("Rows", lambda one: count(one.rows)),
    number("Orig.\nstmts", lambda one: count(one.original_statements), "Original statements"),
    number("Opt.\nstmts", lambda one: count(one.optimized_statements), "Optimized statements"),
    number("Orig.\ns", lambda one: f"{one.original_seconds:.4f}", "Original seconds"),
    number("Opt.\ns", lambda one: f"{one.optimized_seconds:.4f}", "Optimized seconds"),
    number("Ratio", lambda one: "" if one.ratio is None else f"{one.ratio:.1f}"),
)


def compare(seconds: float, companies: int, batches: int, rows: int, *, as_json: bool) -> None:
    """Print what both implementations give and take; exits with 1 if they give different rows."""
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
        "operation": one.operation,
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
            f"{one.operation} gives {count(one.different_rows)} different rows: `batch-assets mode "
            "false` leaves optimized, and please report it."
        )
