"""The op that stops submissions, and brings what is under way to its end."""

from dataclasses import asdict

import dagster as dg
from pydantic import Field

from batch_assets.ops.failures import clear_failures
from batch_assets.ops.reporting import log_of, show, tag_run, who
from batch_assets.resources.pipeline import PipelineResource
from batch_assets.stages.controls.drain import begin_drain, drain_on, foresee_drain, lift_drain


class DrainConfig(dg.Config):
    """Whether submissions are stopped, and what becomes of what is under way."""

    hand_over: bool = Field(
        default=False,
        description="true: what still runs on the server is LiveDash's from now on, and is not "
        "waited for. That cannot be taken back.",
    )
    resume: bool = Field(
        default=False, description="true: end the drain. Submissions go on with the next run."
    )
    dry_run: bool = Field(
        default=True, description="true, the default: only say what is under way."
    )


@dg.op(out=dg.Out(int, description="How many batches are still under way."))
@clear_failures()
def drain_batches(
    context: dg.OpExecutionContext,
    config: DrainConfig,
    pipeline: dg.ResourceParam[PipelineResource],
) -> int:
    """Stop submissions until they are resumed, and read what has ended. Scheduled runs read on.

    What waits for another try or follows another request waits for a batch again.
    """
    drains = pipeline.pipeline.drains
    if config.resume and not config.dry_run:
        log_of(context).info(lift_drain(drains))
        tag_run(context, {"resumed": True})
        return drains.standing().batches
    if config.dry_run:
        report = foresee_drain(drains, hand_over=config.hand_over)
    else:
        begin_drain(drains, who(context))
        report = drain_on(pipeline.pipeline, pipeline.budget(), hand_over=config.hand_over)
    log_of(context).info(" ".join(report.sentences))
    numbers = {name: value for name, value in asdict(report.left).items() if isinstance(value, int)}
    show(
        context,
        {
            "dry_run": report.dry_run,
            "drained": report.left.is_empty and not report.dry_run,
            "returned_requests": report.returned_requests,
            "handed_over_batches": report.handed_over.batches,
            "handed_over_requests": report.handed_over.requests,
            **{f"left_{name}": value for name, value in numbers.items()},
        },
    )
    tag_run(context, {"drained": report.left.is_empty, "dry_run": report.dry_run})
    return report.left.batches
