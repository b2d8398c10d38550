"""The op that finds the companies whose requests are due."""

import dagster as dg

from batch_assets.domain.livedash_timers import said_of
from batch_assets.ops import sentences
from batch_assets.ops.failures import clear_failures
from batch_assets.ops.reporting import add_metadata, log_of
from batch_assets.resources.pipeline import PipelineResource
from batch_assets.stages.plan import find_due


@dg.op(out=dg.Out(list[str], description="The ids of the companies whose requests are due."))
@clear_failures()
def fetch_pending_requests(
    context: dg.OpExecutionContext,
    company_ids: list[str],
    pipeline: PipelineResource,
) -> list[str]:
    """Take in new requests, and see which companies have enough of them or have waited enough."""
    watch = pipeline.watch_queries()
    with pipeline.figures.timed("fetch"):
        report = find_due(pipeline.pipeline, company_ids)
    waiting = {
        "due_companies": len(report.due),
        "due_requests": sum(backlog.requests for backlog in report.due),
        "waiting_companies": report.waiting_companies,
        "waiting_requests": report.waiting_requests,
        "oldest_wait_seconds": report.oldest_wait_seconds,
        "livedash_acts": sum(report.beside.acts.values()),
        "bought_twice": report.beside.bought_twice,
        "put_back": report.beside.put_back,
    }
    noticed = said_of(report.beside.acts)
    if noticed:
        log_of(context).warning("LiveDash's own batch timers run beside this project: %s.", noticed)
    log_of(context).info(sentences.of_due(report, pipeline.pipeline.policy))
    add_metadata(context, waiting, watch)
    return [backlog.company_id for backlog in report.due]
