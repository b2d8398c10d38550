"""`batch-assets prune`: old history goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from batch_assets.cli.conventions import AsJson, DryRun, Yes, asked, plural, print_json
from batch_assets.cli.dagster_instance import open_instance
from batch_assets.cli.opening import open_database
from batch_assets.cli.screen import console

if TYPE_CHECKING:
    from batch_assets.stages.prune import PruneReport

commands = typer.Typer()


@commands.command("prune")
def prune_history(dry_run: DryRun = False, as_json: AsJson = False, yes: Yes = False) -> None:
    """Delete old metrics, runs and events; see docs/metrics.md."""
    from batch_assets.resources.history import open_history
    from batch_assets.stages.pipeline import Budget
    from batch_assets.stages.prune import prune

    with (
        open_database() as database,
        open_instance() as instance,
        open_history(database.engine, database.endpoints, instance) as history,
    ):
        days = database.settings.monitoring_retention_days
        question = f"Delete metrics, runs and events that are older than {plural(days, 'day')}?"
        if not asked(question, command="prune", yes=yes or dry_run):
            console().say("Nothing was deleted.")
            raise typer.Exit(1)
        budget = Budget.of_op(database.settings.policy())
        report = prune(history, budget, days=days, dry_run=dry_run)
    if as_json:
        print_json({"report": report, "retention_days": days})
    else:
        _show(report, days)


def _show(report: PruneReport, days: int) -> None:
    shown = console()
    verb = "Would delete" if report.dry_run else "Deleted"
    shown.say(f"{verb} what is older than {plural(days, 'day')} ({report.before} UTC):")
    for number, thing in (
        (report.run_metrics, "metrics of runs"),
        (report.run_readings, "notes of what runs have read of batches"),
        (report.operation_measurements, "measurements of operations"),
        (report.livedash_acts, "acts of LiveDash's timers"),
        (report.dagster_runs, "runs of Dagster's, with their events and files"),
        (report.check_evaluations, "evaluations of asset checks"),
        (report.events_outside_runs, "events outside any run"),
    ):
        shown.say(f"{number:,} {thing}", indent=2)
    if report.kept_days:
        shown.say(f"What {plural(report.kept_days, 'day')} have cost is kept as sums (UTC).")
    if not report.is_complete:
        shown.say("Time was up (BATCH_OP_SECONDS): the rest goes when this is typed again.")
