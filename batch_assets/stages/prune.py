"""Old history goes: metrics, measurements, and what Dagster keeps of runs.

What days have cost is kept as sums before. Never what was paid for or is to be done: no
conversation, batch, attempt or dead letter. All of it in bounded steps, so that nothing is locked
for long and a run that is cut short has only done less.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from batch_assets.openai_batch.spool import sweep
from batch_assets.stages.pipeline import Budget
from batch_assets.store.daily_costs import DailyCosts
from batch_assets.store.retention import DagsterEvents, Measurements

ROWS_A_STEP: Final = 5_000
RUNS_A_STEP: Final = 50
SPOOL_SECONDS: Final = 24 * 60 * 60.0
"""Input files of a process that is gone are of no use to anybody."""


class Runs(Protocol):
    """Ended runs of Dagster's; see `resources.history`."""

    def count(self, before: datetime) -> int:
        """Count those that have ended before this moment and may go."""
        ...

    def delete(self, before: datetime, limit: int) -> int:
        """Delete at most `limit` of them, the oldest first, and count them."""
        ...


@dataclass(frozen=True, slots=True)
class History:
    """Everything that grows with each run and is not kept for ever."""

    measurements: Measurements
    daily_costs: DailyCosts
    events: DagsterEvents
    runs: Runs
    spool_dir: Path


@dataclass(slots=True)
class PruneReport:
    """What went, or in a dry run would go."""

    before: str
    """What is older goes; UTC."""
    dry_run: bool
    kept_days: int = 0
    """UTC days whose money was kept as sums; a dry run does not look for them."""
    run_metrics: int = 0
    run_readings: int = 0
    """What runs without metrics have read of batches."""
    operation_measurements: int = 0
    livedash_acts: int = 0
    dagster_runs: int = 0
    check_evaluations: int = 0
    events_outside_runs: int = 0
    spool_directories: int = 0
    """Left by processes that were killed; a dry run does not look for them."""
    is_complete: bool = True
    """False if time was up: the next run carries on."""


def prune(history: History, budget: Budget, *, days: int, dry_run: bool) -> PruneReport:
    """Delete what is older than so many days, as far as the budget's time allows; or count it."""
    before = datetime.now(UTC) - timedelta(days=days)
    report = PruneReport(before=f"{before:%Y-%m-%d %H:%M:%S}", dry_run=dry_run)
    measurements, events, runs = history.measurements, history.events, history.runs
    if dry_run:
        report.run_metrics = measurements.metrics_before(before)
        report.run_readings = measurements.readings_before(before)
        report.operation_measurements = measurements.operations_before(before)
        report.livedash_acts = measurements.acts_before(before)
        report.dagster_runs = runs.count(before)
        report.check_evaluations = events.count("evaluations", before)
        report.events_outside_runs = events.count("events", before)
        return report
    report.kept_days = history.daily_costs.keep(lambda: budget.is_late)
    deleting = partial(_until_none, before=before, budget=budget, report=report)
    report.run_metrics = deleting(measurements.delete_metrics, step=ROWS_A_STEP)
    report.run_readings = deleting(measurements.delete_readings, step=ROWS_A_STEP)
    report.operation_measurements = deleting(measurements.delete_operations, step=ROWS_A_STEP)
    report.livedash_acts = deleting(measurements.delete_acts, step=ROWS_A_STEP)
    report.dagster_runs = deleting(runs.delete, step=RUNS_A_STEP)
    report.check_evaluations = deleting(partial(events.delete, "evaluations"), step=ROWS_A_STEP)
    report.events_outside_runs = deleting(partial(events.delete, "events"), step=ROWS_A_STEP)
    report.spool_directories = sweep(history.spool_dir, older_than_seconds=SPOOL_SECONDS)
    return report


def _until_none(
    delete: Callable[[datetime, int], int],
    *,
    step: int,
    before: datetime,
    budget: Budget,
    report: PruneReport,
) -> int:
    """Delete step after step until there is nothing left, or time is up."""
    deleted = 0
    while not budget.is_late:
        some = delete(before, step)
        deleted += some
        if some < step:
            return deleted
    report.is_complete = False
    return deleted
