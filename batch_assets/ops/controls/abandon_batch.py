"""The op that gives up a batch because an operator says so."""

import dagster as dg
from pydantic import Field

from batch_assets.domain.states import LOST_AFTER
from batch_assets.ops.controls.cancel_batch import entries
from batch_assets.ops.failures import clear_failures
from batch_assets.ops.reporting import tag_run
from batch_assets.resources.pipeline import PipelineResource
from batch_assets.stages.controls.abandon import abandon_batch


class AbandonConfig(dg.Config):
    """Which batch is given up."""

    batch: str = Field(description="The batch's id: ours, or OpenAI's (batch_…).")
    older_than: str = Field(
        default=LOST_AFTER,
        description="Only if it was submitted before that: an age such as 90m or 2d, or a date.",
    )
    dry_run: bool = Field(
        default=True,
        description="true, the default: only ask the server whether it knows the batch. false: "
        "give it up if it does not. Its requests wait again, and are paid for twice if the batch "
        "lives on in another project.",
    )


@dg.op(out=dg.Out(int, description="How many requests the batch holds."))
@clear_failures()
def abandon_unknown_batch(
    context: dg.OpExecutionContext,
    config: AbandonConfig,
    pipeline: dg.ResourceParam[PipelineResource],
) -> int:
    """Give up a batch that the server says it does not know. Its requests wait again.

    Refused unless the server is certain: it accepts the key, answers 404 for the batch's id, and
    does not list it.
    """
    report = abandon_batch(
        pipeline.pipeline.registry,
        pipeline.pipeline.api,
        config.batch,
        config.older_than,
        str,
        dry_run=config.dry_run,
    )
    context.log.info(report.sentence)
    asked = {"listed_batches": report.listed, "listed_batches_of_ours": report.listed_ours}
    context.add_output_metadata({"dry_run": report.dry_run} | asked | entries(report.batch))
    company = report.batch.company or report.batch.company_id
    tag_run(context, {"company": company, "dry_run": report.dry_run})
    return report.batch.requests
