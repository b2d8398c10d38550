"""The op that sets stages right which nothing will ever finish."""

import dagster as dg
from pydantic import Field

from batch_assets.ops.failures import clear_failures
from batch_assets.ops.reporting import log_of, metadata_of, show, tag_run
from batch_assets.resources.database import DatabaseResource
from batch_assets.stages.controls import reset


class ResetStagesConfig(dg.Config):
    """What the Launchpad asks for."""

    dry_run: bool = Field(default=True, description="true: only say what would be set right.")


@dg.op(out=dg.Out(int, description="How many sessions were set right."))
@clear_failures()
def reset_stages(
    context: dg.OpExecutionContext,
    config: ResetStagesConfig,
    database: dg.ResourceParam[DatabaseResource],
) -> int:
    """Let the stage AI_ANALYSIS of each session say what its requests do.

    One that is in progress for nothing becomes COMPLETED, FAILED, or PENDING: then LiveDash makes a
    request for it.
    """
    report = reset.reset_stages(database.engine, dry_run=config.dry_run)
    log_of(context).info(" ".join(report.sentences))
    show(context, metadata_of(report))
    sessions = report.orphaned + report.unstaged
    tag_run(context, {"sessions": sessions, "dry_run": report.dry_run})
    return sessions
