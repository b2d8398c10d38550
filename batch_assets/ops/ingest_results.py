"""The op that reads what was paid for."""

import dagster as dg

from batch_assets.ops import sentences
from batch_assets.ops.failures import clear_failures
from batch_assets.ops.reporting import (
    add_metadata,
    log_failed_companies,
    log_of,
    metadata_of,
    run_links,
)
from batch_assets.resources.pipeline import PipelineResource
from batch_assets.stages import ingest, orphans
from batch_assets.stages.abandoned import read_abandoned


@dg.op(
    ins={"checked": dg.In(dg.Nothing)},
    out=dg.Out(int, description="How many batches were read to their end."),
    tags={"dagster/priority": "1"},
)
@clear_failures()
def ingest_results(context: dg.OpExecutionContext, pipeline: PipelineResource) -> int:
    """Read ended batches of every company, write the analyses, and delete the files after that."""
    budget = pipeline.budget()
    watch = pipeline.watch_queries()
    with pipeline.figures.timed("ingest"):
        report = ingest.ingest_results(pipeline.pipeline, budget)
        late = read_abandoned(pipeline.pipeline, budget)
        cleaned = orphans.delete_leftovers(pipeline.pipeline, budget)
    log_failed_companies(context, report.failed)
    log_of(context).info(sentences.of_reading(report, late))
    links = run_links("sent_by_run", [batch.sent_by_run for batch in report.batches_read])
    deleted = {"batches_with_deleted_files": cleaned}
    add_metadata(context, metadata_of(report) | metadata_of(late) | deleted | links, watch)
    return report.settled
