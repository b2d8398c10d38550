"""The op that gives failed requests another try."""

import dagster as dg

from batch_assets.ops import sentences
from batch_assets.ops.failures import clear_failures
from batch_assets.ops.reporting import add_metadata, log_of, metadata_of
from batch_assets.resources.pipeline import PipelineResource
from batch_assets.stages.retry import retry_failed


@dg.op(
    ins={"ingested": dg.In(dg.Nothing)},
    out=dg.Out(int, description="How many requests wait again."),
    tags={"dagster/priority": "1"},
)
@clear_failures()
def retry_failed_requests(context: dg.OpExecutionContext, pipeline: PipelineResource) -> int:
    """Let failed requests that are due wait for a batch, or send them live if that is allowed."""
    watch = pipeline.watch_queries()
    with pipeline.figures.timed("retry"):
        report = retry_failed(pipeline.pipeline, pipeline.budget())
    log_of(context).info(sentences.of_retrying(report))
    add_metadata(context, metadata_of(report), watch)
    return report.requeued
