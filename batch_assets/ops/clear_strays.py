"""The op that looks for what is on the server without need."""

import dagster as dg

from batch_assets.ops.failures import clear_failures
from batch_assets.ops.reporting import add_metadata, metadata_of
from batch_assets.resources.pipeline import PipelineResource
from batch_assets.stages.abandoned import read_abandoned
from batch_assets.stages.orphans import find_orphans


@dg.op(out=dg.Out(int, description="How many batches and files were found without need."))
@clear_failures()
def clear_strays(
    context: dg.OpExecutionContext, pipeline: dg.ResourceParam[PipelineResource]
) -> int:
    """Cancel second batches of one intent, delete input files that no batch uses, and read what
    abandoned batches have brought.

    What carries the id of a batch that this database does not know is counted, and left alone.
    """
    watch = pipeline.watch_queries()
    report = find_orphans(pipeline.pipeline)
    late = read_abandoned(pipeline.pipeline, pipeline.budget(), whenever=True)
    add_metadata(context, metadata_of(report) | metadata_of(late), watch)
    return report.duplicates + report.strays_deleted
