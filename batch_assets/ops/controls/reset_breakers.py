"""The op that lets calls and scheduled runs go on that were stopped after failures."""

from typing import Literal

import dagster as dg
from pydantic import Field

from batch_assets.ops.failures import clear_failures
from batch_assets.ops.reporting import log_of, show, tag_run, who
from batch_assets.resources.database import DatabaseResource
from batch_assets.stages.controls.reset import reset

Which = Literal[
    "all",
    "upload",
    "create_batch",
    "retrieve_batch",
    "list_batches",
    "list_files",
    "cancel_batch",
    "retrieve_file",
    "delete_file",
    "download_file",
    "check_account",
    "chat_completion",
    "account",
]


class ResetConfig(dg.Config):
    """What goes on."""

    operation: Which = Field(
        default="all",
        description="The API operation whose calls are made again; account: batches are submitted "
        "again. all, the default: all of that, and schedule and sensors start runs as well.",
    )
    dry_run: bool = Field(default=False, description="true: only say what is stopped.")


@dg.op(out=dg.Out(int, description="How many breakers were closed."))
@clear_failures()
def reset_breakers(
    context: dg.OpExecutionContext,
    config: ResetConfig,
    database: dg.ResourceParam[DatabaseResource],
) -> int:
    """Close breakers and end the schedule's pause; failures are counted anew from then on."""
    named = [] if config.operation == "all" else [config.operation]
    report = reset(database.engine, named, who(context), dry_run=config.dry_run)
    log_of(context).info(" ".join(report.sentences))
    show(
        context,
        {
            "dry_run": report.dry_run,
            "operations": ", ".join(report.operations),
            "breakers": len(report.operations),
            "account_resumed": report.account,
            "schedule_resumed": report.schedule,
        },
    )
    tag_run(context, {"breakers": len(report.operations), "dry_run": report.dry_run})
    return len(report.operations)
