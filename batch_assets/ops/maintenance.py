"""The ops that keep order: orphans on the server, and history that is older than is asked for."""

import dagster as dg
from pydantic import Field

from batch_assets.ops.failures import clear_failures
from batch_assets.ops.reporting import metadata_of, show
from batch_assets.resources.connections import DatabaseResource, WiringResource
from batch_assets.resources.history import open_history
from batch_assets.resources.pipeline import PipelineResource
from batch_assets.stages.prune import prune


class PruneConfig(dg.Config):
    """What the Launchpad asks for."""

    dry_run: bool = Field(
        default=False, description="Only count what is older than BATCH_MONITORING_RETENTION_DAYS."
    )


@dg.op(out=dg.Out(int, description="How many of Dagster's runs went."))
@clear_failures()
def prune_history(
    context: dg.OpExecutionContext,
    config: PruneConfig,
    database: DatabaseResource,
    pipeline: PipelineResource,
    wiring: WiringResource,
) -> int:
    """Delete metrics, measurements, runs and events that are older than is asked for.

    Nothing that was paid for goes, no active run, and no run with an asset's latest metrics.
    """
    days = wiring.settings.monitoring_retention_days
    with open_history(database.engine, wiring.endpoints, context.instance) as history:
        report = prune(history, pipeline.budget(), days=days, dry_run=config.dry_run)
    show(context, metadata_of(report))
    return report.dagster_runs
