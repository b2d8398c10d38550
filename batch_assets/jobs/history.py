"""The jobs that show what the history holds, and keep it from growing for ever."""

import dagster as dg

from batch_assets.ops.draw_reports import draw_reports
from batch_assets.ops.prune_history import prune_history
from batch_assets.resources.run_executor import run_executor
from batch_assets.resources.run_tags import WATCHED
from batch_assets.settings import Settings


@dg.graph
def report() -> None:
    """What a line chart does not show."""
    draw_reports()


def report_job() -> dg.JobDefinition:
    """The job that draws pictures of the history, and changes nothing."""
    return report.to_job(
        name="report_job",
        description="Draws turnaround, cost by company, and original against optimized.",
        executor_def=run_executor,
        tags={**WATCHED, "dagster/max_runtime": "1800"},
    )


@dg.graph
def prune() -> None:
    """What is older than BATCH_MONITORING_RETENTION_DAYS goes."""
    prune_history()


def prune_job(settings: Settings) -> dg.JobDefinition:
    """The job that keeps the history from growing for ever."""
    return prune.to_job(
        name="prune_job",
        description="Deletes old figures, and old runs and events of Dagster's.",
        executor_def=run_executor,
        # One statement may take five minutes after the op's time is up.
        tags={**WATCHED, "dagster/max_runtime": str(round(settings.op_seconds + 600))},
    )
