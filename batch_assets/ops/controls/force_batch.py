"""The op that sends what waits for one company, although it is not due."""

import dagster as dg
from pydantic import Field

from batch_assets.ops.failures import clear_failures
from batch_assets.ops.reporting import add_metadata, log_of, metadata_of, table_of, tag_run
from batch_assets.resources.pipeline import PipelineResource
from batch_assets.stages.controls.force import Demand, ForceReport, force_batch


class ForceConfig(dg.Config):
    """For which company a batch is made now, and of what."""

    company: str = Field(description="The company: its id, or its name if no other has it.")
    model: str | None = Field(
        default=None, description="Only requests for this model, such as gpt-4o-mini; else of all."
    )
    max_requests: int | None = Field(
        default=None,
        description="At most so many requests, the oldest first: 1 or more. Without it, all that "
        "wait, as far as the caps on requests and cost allow.",
    )
    dry_run: bool = Field(
        default=True,
        description="true, the default: only say what would be sent and what it would cost. "
        "false: send it.",
    )


@dg.op(out=dg.Out(int, description="How many requests were sent; 0 in a dry run."))
@clear_failures()
def force_batch_of_company(
    context: dg.OpExecutionContext,
    config: ForceConfig,
    pipeline: dg.ResourceParam[PipelineResource],
) -> int:
    """Make a batch for a company now, although its requests are not due by their number or age.

    Caps, token allowances, breakers and the confirmation hold as ever, and so does the company's
    status: nothing is sent for one that is not ACTIVE.
    """
    watch = pipeline.watch_queries()
    demand = Demand(config.company, config.model, config.max_requests)
    report = force_batch(pipeline.pipeline, demand, str, pipeline.budget(), dry_run=config.dry_run)
    log_of(context).info(report.sentence)
    entries = {"dry_run": report.dry_run, "company": report.company.name} | (
        _foreseen(report) if report.dry_run else metadata_of(report.sent)
    )
    add_metadata(context, entries, watch)
    sent = report.sent.requests
    tag_run(context, {"company": report.company.name, "requests": sent, "dry_run": report.dry_run})
    return sent


def _foreseen(report: ForceReport) -> dict[str, object]:
    return {
        "would_send": table_of(list(report.planned)),
        "requests": sum(batch.requests for batch in report.planned),
        "batches": len(report.planned),
        "estimated_tokens": sum(batch.tokens for batch in report.planned),
        "estimated_cost_eur": sum(batch.cost_eur for batch in report.planned),
        "rejected": dg.MetadataValue.json(dict(report.rejected)),
        "held": dg.MetadataValue.json(dict(report.held)),
        "held_because": report.held_because or "",
    }
