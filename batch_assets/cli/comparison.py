"""`batch-assets compare`."""

import typer

from batch_assets.cli.opening import open_database
from batch_assets.cli.output import console, count, option, print_json, table, total
from batch_assets.stages.controls.compare import CompareReport, compare_queries
from batch_assets.store.strategy import Compared, CompareLimits


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
    headings = ["Rows", "Orig.\nstmts", "Opt.\nstmts", "Orig.\ns", "Opt.\ns", "Ratio"]
    made = table(["Operation", "Result"], headings)
    for one in report.compared:
        made.add_row(
            one.operation + (" *" if one.is_shared else ""),
            str(one.verdict),
            count(one.rows),
            count(one.original_statements),
            count(one.optimized_statements),
            f"{one.original_seconds:.4f}",
            f"{one.optimized_seconds:.4f}",
            "" if one.ratio is None else f"{one.ratio:.1f}",
        )
    sums = report.totals
    made.add_section()
    made.add_row(
        *total(
            "Those with two",
            "",
            "",
            count(int(sums["original_statements"])),
            count(int(sums["optimized_statements"])),
            f"{sums['original_seconds']:.4f}",
            f"{sums['optimized_seconds']:.4f}",
            f"{sums['ratio']:.1f}",
        )
    )
    shown.print(made)
    shown.print("* one statement in both. Nothing was changed.")
    for one in report.different:
        shown.print(
            f"{one.operation} gives {count(one.different_rows)} different rows: `batch-assets mode "
            "false` leaves optimized, and please report it.",
            soft_wrap=True,
        )
