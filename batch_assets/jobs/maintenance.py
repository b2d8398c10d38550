"""The jobs that audit, report and prune: none of them sends anything."""

import dagster as dg

from batch_assets.assets import draw_reports
from batch_assets.ops.conservation import audit_rows
from batch_assets.ops.maintenance import clear_orphans, prune_history
from batch_assets.resources.run_executor import run_executor
from batch_assets.resources.run_tags import WATCHED
from batch_assets.settings import Settings


@dg.graph
def audit() -> None:
    """One look at every row, and one at what is on the server; neither needs the other."""
    audit_rows()
    clear_orphans()


def audit_job() -> dg.JobDefinition:
    """The job that counts every row of every company, changing none, and looks for orphans."""
    return audit.to_job(
        name="audit_job",
        description=(
            "Proves over every row that each request is in exactly one bucket, and clears the "
            "server of batches and files of ours that nothing needs."
        ),
        executor_def=run_executor,
        # Its statements give up after half an hour each.
        tags={**WATCHED, "dagster/max_runtime": "7200"},
    )


report_job = dg.define_asset_job(
    "report_job",
    selection=[draw_reports],
    description="Draws turnaround, cost by company, and original against optimized.",
    executor_def=run_executor,
    tags={**WATCHED, "dagster/max_runtime": "1800"},
)
"""Materializes the reports, and changes nothing."""


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
