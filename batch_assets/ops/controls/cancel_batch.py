"""The op that cancels a batch because an operator says so."""

import dagster as dg
from pydantic import Field

from batch_assets.domain.lookups import BatchRecord
from batch_assets.ops.failures import clear_failures
from batch_assets.ops.reporting import log_of, run_links, show, tag_run
from batch_assets.resources.pipeline import PipelineResource
from batch_assets.stages.controls.cancel import cancel_batch


class CancelConfig(dg.Config):
    """Which batch is cancelled."""

    batch: str = Field(description="The batch's id: ours, or OpenAI's (batch_…).")
    dry_run: bool = Field(
        default=True,
        description="true, the default: only say whether it can be cancelled and what it holds. "
        "false: cancel it. What has run is paid for and is kept; the rest waits again.",
    )


@dg.op(out=dg.Out(int, description="How many requests the batch holds."))
@clear_failures()
def cancel_batch_on_server(
    context: dg.OpExecutionContext,
    config: CancelConfig,
    pipeline: dg.ResourceParam[PipelineResource],
) -> int:
    """Ask the server to end a batch of ours. Its results so far are read by the next runs.

    A batch that is finished, that is not on the server yet or that is not ours is refused.
    """
    report = cancel_batch(
        pipeline.pipeline.registry, pipeline.pipeline.api, config.batch, dry_run=config.dry_run
    )
    log_of(context).info(report.sentence)
    show(context, {"dry_run": report.dry_run} | entries(report.batch))
    company = report.batch.company or report.batch.company_id
    tag_run(context, {"company": company, "dry_run": report.dry_run})
    return report.batch.requests


def entries(batch: BatchRecord) -> dict[str, object]:
    """A batch as metadata, with links to its runs."""
    return {
        "batch_id": batch.id,
        "openai_batch_id": batch.openai_batch_id or "",
        "company": batch.company or batch.company_id,
        "model": batch.model or "",
        "requests": batch.requests,
        "outcomes": dg.MetadataValue.json(dict(batch.outcomes)),
        "state": batch.state,
        "server_status": batch.server_status or "",
        "estimated_cost_eur": batch.estimated_cost_eur,
        **run_links("sent_by_run", [batch.run_id]),
        **run_links("read_by_run", [batch.read_run_id]),
    }
