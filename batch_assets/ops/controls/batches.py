"""The controls of requests and batches: what is sent, tried again, ended or given up."""

from dataclasses import asdict
from typing import Literal

import dagster as dg
from pydantic import Field

from batch_assets.domain.lookups import BatchRecord
from batch_assets.domain.states import LOST_AFTER
from batch_assets.ops.failures import clear_failures
from batch_assets.ops.reporting import (
    add_metadata,
    log_of,
    metadata_of,
    run_links,
    show,
    table_of,
    tag_run,
    who,
)
from batch_assets.resources.connections import DatabaseResource
from batch_assets.resources.pipeline import PipelineResource
from batch_assets.stages.controls.abandon import abandon_batch
from batch_assets.stages.controls.cancel import cancel_batch
from batch_assets.stages.controls.criteria import Wanted
from batch_assets.stages.controls.drain import begin_drain, drain_on, foresee_drain, lift_drain
from batch_assets.stages.controls.force import Demand, ForceReport, force_batch
from batch_assets.stages.controls.requeue import requeue

Kind = Literal["any", "transient", "capacity", "server", "permanent", "account", "indeterminate"]
_AGE = "an age such as 36h, 90m or 7d, or a date such as 2026-01-31 or 2026-01-31T08:00 (UTC)"


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
    pipeline: PipelineResource,
) -> int:
    """Make a batch for a company now, although its requests are not due by their number or age.

    Caps, token allowances, breakers and the confirmation hold as ever, and so does the company's
    status: nothing is sent for one that is not ACTIVE.
    """
    watch = pipeline.watch_queries()
    demand = Demand(config.company, config.model, config.max_requests)
    serving = pipeline.pipeline_for(company=config.company)
    report = force_batch(serving, demand, str, pipeline.budget(), dry_run=config.dry_run)
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
        "estimated_cost_eur": sum(batch.cost_eur or 0.0 for batch in report.planned),
        "unpriced_requests": sum(one.requests for one in report.planned if one.cost_eur is None),
        "rejected": dg.MetadataValue.json(dict(report.rejected)),
        "held": dg.MetadataValue.json(dict(report.held)),
        "held_because": report.held_because or "",
    }


class RequeueConfig(dg.Config):
    """Which failed requests are meant: those to which all that is given applies.

    Something has to be given, or `all`.
    """

    ids: list[str] = Field(default=[], description="These requests alone, by their ids.")
    company: str | None = Field(
        default=None, description="Of this company: its id, or its name if no other has it."
    )
    code: str | None = Field(
        default=None,
        description="That failed for this reason: a code such as server_error, as "
        "`batch-assets dead-letters list` shows it.",
    )
    kind: Kind = Field(default="any", description="That failed in this way; any: in whatever way.")
    older_than: str | None = Field(
        default=None, description=f"That failed longer ago than this: {_AGE}."
    )
    newer_than: str | None = Field(default=None, description=f"That failed since then: {_AGE}.")
    all: bool = Field(
        default=False, description="true: every dead letter there is, and nothing else is given."
    )
    external: bool = Field(
        default=False,
        description="true: also what failed through LiveDash itself, or before this project came. "
        "Only with ids or company.",
    )
    foreign: bool = Field(default=False, description="The former name of `external`.")
    retries: bool = Field(
        default=False,
        description="true: also failed requests that have a retry date. They do not wait for it: "
        "the next run takes them. What was tried so far still counts.",
    )
    dry_run: bool = Field(
        default=True,
        description="true, the default: only say which requests are meant, by company and code. "
        "false: let them wait for a batch again, dead letters with all their tries.",
    )


@dg.op(out=dg.Out(int, description="How many requests wait again; 0 in a dry run."))
@clear_failures()
def requeue_requests(
    context: dg.OpExecutionContext,
    config: RequeueConfig,
    database: DatabaseResource,
) -> int:
    """Let failed or dead-lettered requests wait for a batch again; the next runs send them."""
    if config.foreign:
        log_of(context).warning("`foreign` is called `external`: give that.")
    report = requeue(database.engine, _wanted(config), str, dry_run=config.dry_run)
    moved = report.moved
    log_of(context).info(report.sentence)
    show(
        context,
        {
            "dry_run": report.dry_run,
            "chosen": report.requests,
            "chosen_by_company": table_of(report.groups),
            "requeued": moved.requeued,
            "requeued_external": moved.external,
            "retries_hastened": moved.hastened,
            "overtaken": moved.overtaken,
        },
    )
    requests = moved.requeued + moved.external + moved.hastened
    tag_run(context, {"requests": requests, "dry_run": report.dry_run})
    return moved.requeued + moved.external


def _wanted(config: RequeueConfig) -> Wanted:
    return Wanted(
        request_ids=config.ids,
        company=config.company,
        code=config.code,
        kind=None if config.kind == "any" else config.kind,
        older_than=config.older_than,
        newer_than=config.newer_than,
        every=config.all,
        external=config.external or config.foreign,
        retries=config.retries,
    )


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
    pipeline: PipelineResource,
) -> int:
    """Ask the server to end a batch of ours. Its results so far are read by the next runs.

    A batch that is finished, that is not on the server yet or that is not ours is refused.
    """
    its = pipeline.pipeline_for(batch=config.batch)
    report = cancel_batch(its.registry, its.api, config.batch, dry_run=config.dry_run)
    log_of(context).info(report.sentence)
    show(context, {"dry_run": report.dry_run} | entries(report.batch))
    company = report.batch.company or report.batch.company_id
    tag_run(context, {"company": company, "dry_run": report.dry_run})
    return report.batch.requests


def _estimate(batch: BatchRecord) -> float | str:
    is_known = batch.price is not None or batch.estimated_cost_eur > 0
    return batch.estimated_cost_eur if is_known else "unknown"


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
        "estimated_cost_eur": _estimate(batch),
        **run_links("sent_by_run", [batch.run_id]),
        **run_links("read_by_run", [batch.read_run_id]),
    }


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
    pipeline: PipelineResource,
) -> int:
    """Give up a batch that the server says it does not know. Its requests wait again.

    Refused unless the server is certain: it accepts the key, answers 404 for the batch's id, and
    does not list it. By force: unless the batch has not come to its end for BATCH_STUCK_HOURS.
    """
    report = abandon_batch(
        pipeline.pipeline_for(batch=config.batch),
        config.batch,
        config.older_than,
        str,
        force=config.force,
        dry_run=config.dry_run,
    )
    log_of(context).info(report.sentence)
    asked = {
        "force": config.force,
        "duplicate_cost_eur": report.duplicate_cost_eur,
        "listed_batches": report.listed,
        "listed_batches_of_ours": report.listed_ours,
    }
    show(context, {"dry_run": report.dry_run} | asked | entries(report.batch))
    company = report.batch.company or report.batch.company_id
    tag_run(context, {"company": company, "dry_run": report.dry_run})
    return report.batch.requests


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
    pipeline: PipelineResource,
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
