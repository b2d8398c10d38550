"""The op that gives up a batch because an operator says so."""

import dagster as dg
from pydantic import Field

from batch_assets.domain.states import LOST_AFTER
from batch_assets.ops.controls.cancel_batch import entries
from batch_assets.ops.failures import clear_failures
from batch_assets.ops.reporting import log_of, show, tag_run
from batch_assets.resources.pipeline import PipelineResource
from batch_assets.stages.controls.abandon import abandon_batch


class AbandonConfig(dg.Config):
    """Which batch is given up."""

    batch: str = Field(description="The batch's id: ours, or OpenAI's (batch_…).")
    older_than: str = Field(
        default=LOST_AFTER,
        description="Only if it was submitted before that: an age such as 90m or 2d, or a date.",
    )
    force: bool = Field(
        default=False,
        description="true: give up a batch that the server knows, too, if it has not ended or "
        "could not be read for BATCH_STUCK_HOURS. Its requests are bought again, and what the "
        "server has answered of it, or still answers, is billed as well.",
    )
    dry_run: bool = Field(
        default=True,
        description="true, the default: only ask the server how the batch is, and say what giving "
        "it up costs. false: give it up if that can be. Its requests wait again, and are paid for "
        "twice if the batch lives on in another project.",
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
    does not list it. By force: unless the batch has not come to its end for BATCH_STUCK_HOURS.
    """
    report = abandon_batch(
        pipeline.pipeline,
        config.batch,
        config.older_than,
        str,
        force=config.force,
        dry_run=config.dry_run,
    )
    log_of(context).info(report.sentence)
    asked = {
        "force": config.force,
        "double_cost_eur": report.double_cost_eur,
        "listed_batches": report.listed,
        "listed_batches_of_ours": report.listed_ours,
    }
    show(context, {"dry_run": report.dry_run} | asked | entries(report.batch))
    company = report.batch.company or report.batch.company_id
    tag_run(context, {"company": company, "dry_run": report.dry_run})
    return report.batch.requests
