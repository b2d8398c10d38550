"""The ops that keep order: orphans on the server, and history that is older than is asked for."""

import dagster as dg
from pydantic import Field

from batch_assets.ops.failures import clear_failures
from batch_assets.ops.reporting import add_metadata, metadata_of, show
from batch_assets.resources.connections import DatabaseResource, WiringResource
from batch_assets.resources.history import open_history
from batch_assets.resources.pipeline import PipelineResource
from batch_assets.stages.abandoned import read_abandoned
from batch_assets.stages.orphans import find_orphans
from batch_assets.stages.prune import prune


@dg.op(out=dg.Out(int, description="How many batches and files were found without need."))
@clear_failures()
def clear_orphans(context: dg.OpExecutionContext, pipeline: PipelineResource) -> int:
    """Cancel second batches of one intent, delete input files that no batch uses, and read what
    abandoned batches have brought.

    What carries the id of a batch that this database does not know is counted, and left alone.
    """
    watch = pipeline.watch_queries()
    report = find_orphans(pipeline.pipeline)
    late = read_abandoned(pipeline.pipeline, pipeline.budget(), whenever=True)
    add_metadata(context, metadata_of(report) | metadata_of(late), watch)
    return report.duplicates + report.strays_deleted


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
    """Delete figures, measurements, runs and events that are older than is asked for.

    Nothing that was paid for goes, no active run, and no run with an asset's latest figures.
    """
    days = wiring.settings.monitoring_retention_days
    with open_history(database.engine, wiring.endpoints, context.instance) as history:
        report = prune(history, pipeline.budget(), days=days, dry_run=config.dry_run)
    show(context, metadata_of(report))
    return report.dagster_runs
