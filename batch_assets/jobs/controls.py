"""The controls: what a person starts to steer, each one op with a config that explains itself.

Each is also a command of `batch-assets`, which calls the same function; `docs/controls.md` lists
them. Those that spend money or cannot be taken back begin with a dry run.
"""

from collections.abc import Mapping

import dagster as dg

from batch_assets.ops.controls.batches import (
    abandon_unknown_batch,
    cancel_batch_on_server,
    drain_batches,
    force_batch_of_company,
    requeue_requests,
)
from batch_assets.ops.controls.switches import (
    choose_query_mode,
    compare_implementations,
    refresh_companies,
    reset_breakers,
    reset_stages,
)
from batch_assets.resources.run_executor import run_executor
from batch_assets.resources.run_tags import EXCLUSIVE, WATCHED
from batch_assets.settings import Settings

_LONGEST_SECONDS = 3_600


def control_jobs(settings: Settings) -> list[dg.JobDefinition]:
    """Make the jobs of every control."""
    return [
        force_batch_job(settings),
        requeue_job(),
        cancel_batch_job(),
        abandon_batch_job(),
        refresh_companies_job(),
        reset_breakers_job(),
        reset_stages_job(),
        drain_job(),
        choose_mode_job(),
        compare_queries_job(),
    ]


def force_batch_job(settings: Settings) -> dg.JobDefinition:
    """Make the job that sends what waits for one company.

    It waits for a run of batch_processing_job to end, and the next one waits for it.
    """
    return _job(
        "force_batch_job",
        force_batch_of_company,
        "Makes a batch for a company now, although it is not due by size or age.",
        template={"company": "", "dry_run": True},
        tags={**EXCLUSIVE, "dagster/max_runtime": str(round(2 * settings.op_seconds + 900))},
    )


def requeue_job() -> dg.JobDefinition:
    """Make the job that is the way back from the dead letters."""
    return _job(
        "requeue_job",
        requeue_requests,
        "Lets failed or dead-lettered requests wait for a batch again.",
        template={"dry_run": True},
    )


def cancel_batch_job() -> dg.JobDefinition:
    """Make the job that ends a batch; what ran of it is kept."""
    return _job(
        "cancel_batch_job",
        cancel_batch_on_server,
        "Cancels a batch on the server, and keeps what has run of it.",
        template={"batch": "", "dry_run": True},
    )


def abandon_batch_job() -> dg.JobDefinition:
    """Make the job for a batch that no run can bring to its end.

    The server does not know it, or never ends it.
    """
    return _job(
        "abandon_batch_job",
        abandon_unknown_batch,
        "Gives up a batch that the server does not know any more, or never ends: its requests wait "
        "again.",
        template={"batch": "", "force": False, "dry_run": True},
    )


def refresh_companies_job() -> dg.JobDefinition:
    """Make the job to run after a company was made active or suspended, so as not to wait."""
    return _job(
        "refresh_companies_job",
        refresh_companies,
        "Asks which companies are active, whatever earlier runs were told.",
    )


def reset_breakers_job() -> dg.JobDefinition:
    """Make the job to run once the API is well again, so as not to wait."""
    return _job(
        "reset_breakers_job",
        reset_breakers,
        "Lets calls and scheduled runs go on that were stopped after failures.",
    )


def reset_stages_job() -> dg.JobDefinition:
    """Make the job for what the audit names `stage_without_request`."""
    return _job(
        "reset_stages_job",
        reset_stages,
        "Sets right the stages of sessions that are in progress for nothing.",
        template={"dry_run": True},
    )


def drain_job() -> dg.JobDefinition:
    """Make the job that is the way back to LiveDash's own batches.

    Each run of it says what is left.
    """
    return _job(
        "drain_job",
        drain_batches,
        "Stops submissions until they are resumed, and reads what is under way or hands it over.",
        template={"hand_over": False, "resume": False, "dry_run": True},
    )


def choose_mode_job() -> dg.JobDefinition:
    """Make the job that chooses the mode for all runs.

    One run's mode is chosen in its own Launchpad.
    """
    return _job(
        "choose_mode_job",
        choose_query_mode,
        "Chooses how all runs work on the database: original, optimized or auto.",
    )


def compare_queries_job() -> dg.JobDefinition:
    """Make the job that compares both implementations, changing nothing, at a bounded cost."""
    return _job(
        "compare_queries_job",
        compare_implementations,
        "Compares original and optimized on the present data, read-only.",
    )


def _job(
    name: str,
    op: dg.OpDefinition,
    description: str,
    *,
    template: Mapping[str, object] | None = None,
    tags: Mapping[str, str] | None = None,
) -> dg.JobDefinition:
    """A job of one op; `template` is what the Launchpad begins with."""
    graph = dg.GraphDefinition(name=f"{name}_graph", node_defs=[op], description=description)
    return graph.to_job(
        name=name,
        description=description,
        executor_def=run_executor,
        config=None if template is None else {"ops": {op.name: {"config": dict(template)}}},
        tags={**WATCHED, "dagster/max_runtime": str(_LONGEST_SECONDS), **(tags or {})},
    )
