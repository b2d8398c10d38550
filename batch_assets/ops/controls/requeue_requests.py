"""The op that lets failed requests wait again because an operator says so."""

from typing import Literal

import dagster as dg
from pydantic import Field

from batch_assets.ops.failures import clear_failures
from batch_assets.ops.reporting import log_of, show, table_of, tag_run
from batch_assets.resources.database import DatabaseResource
from batch_assets.stages.controls.criteria import Wanted
from batch_assets.stages.controls.requeue import requeue

Kind = Literal["any", "transient", "capacity", "server", "permanent", "account", "indeterminate"]
_AGE = "an age such as 36h, 90m or 7d, or a date such as 2026-01-31 or 2026-01-31T08:00 (UTC)"


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
    foreign: bool = Field(
        default=False,
        description="true: also what failed through LiveDash itself, or before this project came. "
        "Only with ids or company.",
    )
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
    database: dg.ResourceParam[DatabaseResource],
) -> int:
    """Let failed or dead-lettered requests wait for a batch again; the next runs send them."""
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
            "requeued_foreign": moved.foreign,
            "retries_hastened": moved.hastened,
            "overtaken": moved.overtaken,
        },
    )
    requests = moved.requeued + moved.foreign + moved.hastened
    tag_run(context, {"requests": requests, "dry_run": report.dry_run})
    return moved.requeued + moved.foreign


def _wanted(config: RequeueConfig) -> Wanted:
    return Wanted(
        request_ids=config.ids,
        company=config.company,
        code=config.code,
        kind=None if config.kind == "any" else config.kind,
        older_than=config.older_than,
        newer_than=config.newer_than,
        every=config.all,
        foreign=config.foreign,
        retries=config.retries,
    )
