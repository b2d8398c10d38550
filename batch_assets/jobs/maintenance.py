"""The jobs that audit, report and prune: none of them sends anything."""

from typing import Final

import dagster as dg

from batch_assets.assets import audit_rows, clear_orphans, draw_reports
from batch_assets.ops.maintenance import prune_history
from batch_assets.resources.run_executor import run_executor
from batch_assets.resources.run_tags import WATCHED
from batch_assets.settings import Settings

_AUDITED: Final = [*audit_rows.keys, *clear_orphans.keys]

audit_job = dg.define_asset_job(
    "audit_job",
    # The other checks of these assets are for what is open: each run of the main job makes them.
    selection=dg.AssetSelection.assets(*_AUDITED).without_checks()
    | dg.AssetSelection.checks(*audit_rows.check_keys),
    description=(
        "Proves over every row that each request is in exactly one bucket, and clears the "
        "server of batches and files of ours that nothing needs."
    ),
    executor_def=run_executor,
    # Its statements give up after half an hour each.
    tags={**WATCHED, "dagster/max_runtime": "7200"},
)
"""Counts every row of every company, changing none, and looks for orphans on the server."""

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
        description="Deletes old metrics, and old runs and events of Dagster's.",
        executor_def=run_executor,
        # One statement may take five minutes after the op's time is up.
        tags={**WATCHED, "dagster/max_runtime": str(round(settings.op_seconds + 600))},
    )
