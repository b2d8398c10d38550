"""The op that asks the server how the batches are."""

import dagster as dg

from batch_assets.domain.failures import ApiError, FailureKind
from batch_assets.ops import sentences
from batch_assets.ops.failures import api_sentence, clear_failures
from batch_assets.ops.reporting import add_metadata, log_of, metadata_of
from batch_assets.resources.pipeline import PipelineResource
from batch_assets.stages.poll import check_statuses
from batch_assets.stages.recover import RecoverReport, recover


@dg.op(
    out=dg.Out(int, description="How many batches were seen to have ended."),
    tags={"dagster/priority": "1"},
)
@clear_failures()
def check_batch_statuses(context: dg.OpExecutionContext, pipeline: PipelineResource) -> int:
    """Ask the server about each running batch, and settle what interrupted runs left open.

    What cannot be settled now waits for a later run, and does not keep results from being read.
    """
    budget = pipeline.budget()
    watch = pipeline.watch_queries()
    with pipeline.figures.timed("check"):
        polled = check_statuses(pipeline.pipeline, budget)
        try:
            recovered = recover(pipeline.pipeline, budget)
        except ApiError as error:
            if error.failure.kind is FailureKind.ACCOUNT:
                raise
            log_of(context).warning(api_sentence(error))
            recovered = RecoverReport()
    log_of(context).info(sentences.of_polling(polled, recovered))
    add_metadata(context, metadata_of(polled) | metadata_of(recovered), watch)
    return polled.ended
