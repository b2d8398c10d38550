"""The jobs: what a person or a schedule can start.

The first does the work; the second kind are the controls, with which a person steers, each one op
with a config that explains itself; another one sends by flex what cannot wait; the last audit,
report and prune, and send nothing.

Each control is also a command of `batch-assets`, which calls the same function; `docs/controls.md`
lists them. Those that spend money or cannot be taken back begin with a dry run.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Final

import dagster as dg

from batch_assets.assets import audit_rows, clear_orphans, draw_reports
from batch_assets.openai_batch.operations import Timeouts
from batch_assets.ops.closing import check_row_conservation, evaluate_checks, record_metrics
from batch_assets.ops.controls.batches import (
    abandon_unknown_batch,
    cancel_batch_on_server,
    drain_batches,
    force_batch_of_company,
    requeue_requests,
)
from batch_assets.ops.controls.switches import (
    assign_account_of_company,
    choose_query_mode,
    compare_implementations,
    prune_history,
    refresh_companies,
    reset_breakers,
    reset_stages,
    set_budget_of_company,
)
from batch_assets.ops.flex import send_flex_requests
from batch_assets.ops.main_path import (
    check_batch_statuses,
    delete_batch_files,
    fetch_pending_requests,
    ingest_results,
    load_companies,
    retry_failed_requests,
    submit_batches,
)
from batch_assets.resources.run_executor import (
    EXCLUSIVE,
    WATCHED,
    exclusive_of,
    run_executor,
    watched,
)
from batch_assets.settings import Settings
from batch_assets.store.strategy import CompareLimits

_LONGEST_SECONDS: Final = 3_600
_SLACK_SECONDS: Final = 300
"""For what a run does before and after its calls."""
_AUDITED: Final = [*audit_rows.keys, *clear_orphans.keys]


@dg.graph
def batch_processing() -> None:
    """Two branches that share nothing, so that what was paid for is read whatever else fails.

    The first is run first: its ops have the higher priority. Whatever came of both, three ops close
    the run: they keep its metrics, prove that no request was lost, and raise the alarm if there is
    reason. What has failed is handed on to them as a value, and the last of them fails the run.

    Files are deleted when both branches are through, and nothing depends on that: it has the lowest
    priority.
    """
    checked = check_batch_statuses()
    ingested = ingest_results(checked)
    retried = retry_failed_requests(ingested)
    loaded = load_companies()
    fetched = fetch_pending_requests(loaded)
    submitted = submit_batches(fetched)
    recorded = record_metrics([checked, ingested, retried, loaded, fetched, submitted])
    evaluate_checks(check_row_conservation(recorded))
    delete_batch_files(retried=retried, submitted=submitted)


def batch_processing_job(
    settings: Settings, executor: dg.ExecutorDefinition | None = None
) -> dg.JobDefinition:
    """The job, in one process unless an executor is given.

    Raises:
        BatchAssetsError: The executor is not supported: see `resources.run_executor`.
    """
    # An op begins nothing new after its budget, but its last call may still take its time.
    last_call_seconds = Timeouts().longest_creating_call
    most_seconds = len(batch_processing.node_defs) * settings.op_seconds + last_call_seconds
    return batch_processing.to_job(
        name="batch_processing_job",
        description="Reads finished batches, retries failures, and submits what is due.",
        executor_def=run_executor if executor is None else watched(executor),
        config=_of_each_account(settings, exclusive_of),
        tags={
            **EXCLUSIVE,
            **WATCHED,
            "dagster/max_runtime": str(round(most_seconds)),
        },
    )


def _of_each_account(
    settings: Settings, tags_of: Callable[[str], Mapping[str, str]]
) -> dg.PartitionedConfig[Any] | None:
    """A partition for each account, with tags of its own; none where there is only one."""
    if not settings.accounts:
        return None
    return dg.PartitionedConfig(
        dg.StaticPartitionsDefinition(settings.account_names),
        run_config_for_partition_key_fn=lambda _: {},
        tags_for_partition_key_fn=tags_of,
    )


@dg.graph
def flex_requests() -> None:
    """What cannot wait for the next batch goes by flex, at the price of one."""
    send_flex_requests()


def flex_job(settings: Settings) -> dg.JobDefinition:
    """Make the job that sends by flex.

    A call of it may take twenty minutes: runs of the main job do not wait for that, so it does not
    run alone.
    """
    most_seconds = settings.op_seconds + Timeouts().longest_flex_call
    return flex_requests.to_job(
        name="flex_job",
        description="Sends by flex, at the price of a batch, what cannot wait for the next batch.",
        executor_def=run_executor,
        config=_of_each_account(settings, lambda _: {}),
        tags={**WATCHED, "dagster/max_runtime": str(round(most_seconds + _SLACK_SECONDS))},
    )


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
        set_budget_job(),
        assign_account_job(),
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
        template={"operation": "all", "dry_run": False},
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


def set_budget_job() -> dg.JobDefinition:
    """Make the job that says what a company, or all together, may spend."""
    return _job(
        "set_budget_job",
        set_budget_of_company,
        "Sets what may be spent in each day or month, by a company or by all, or takes it back.",
        template={"company": "", "period": "month", "eur": None, "clear": False},
    )


def assign_account_job() -> dg.JobDefinition:
    """Make the job that says with whose key a company is served."""
    return _job(
        "assign_account_job",
        assign_account_of_company,
        "Lets another account serve a company from now on.",
        template={"company": "", "account": "default"},
    )


def choose_mode_job() -> dg.JobDefinition:
    """Make the job that chooses the mode for all runs.

    One run's mode is chosen in its own Launchpad.
    """
    return _job(
        "choose_mode_job",
        choose_query_mode,
        "Chooses how all runs work on the database: original, optimized or auto.",
        template={"mode": "environment"},
    )


def compare_queries_job() -> dg.JobDefinition:
    """Make the job that compares both implementations, changing nothing, at a bounded cost."""
    return _job(
        "compare_queries_job",
        compare_implementations,
        "Compares original and optimized on the present data, read-only.",
        template=asdict(CompareLimits()),
    )


def _job(
    name: str,
    op: dg.OpDefinition,
    description: str,
    *,
    template: Mapping[str, object] | None = None,
    tags: Mapping[str, str] | None = None,
) -> dg.JobDefinition:
    """A job of one op; `template` is what the Launchpad begins with, where it asks for anything."""
    graph = dg.GraphDefinition(name=f"{name}_graph", node_defs=[op], description=description)
    return graph.to_job(
        name=name,
        description=description,
        executor_def=run_executor,
        config=None if template is None else _explained(op, description, template),
        tags={**WATCHED, "dagster/max_runtime": str(_LONGEST_SECONDS), **(tags or {})},
    )


def _explained(
    op: dg.OpDefinition, description: str, template: Mapping[str, object]
) -> dg.ConfigMapping:
    """What can be configured of a job of one op, as the Launchpad explains it when it is opened.

    Of the config of an op it shows at first no more than that there is one: so the description of
    the whole says what the job does and what each field means.
    """
    config = op.config_schema.as_field().config_type
    fields: Mapping[str, dg.Field] = config.fields  # type: ignore[attr-defined] # a Shape
    meanings = [f"• {name}: {field.description}" for name, field in fields.items()]
    asked = dg.Field({"config": dg.Field(config, description=description)})
    schema = dg.Shape(  # type: ignore[no-untyped-call]
        {
            "ops": dg.Field(
                {op.name: asked},
                default_value={op.name: {"config": dict(template)}},
            ),
            "resources": dg.Field(
                dict,
                is_required=False,
                description="What the run works with, where it is to be another than ever.",
            ),
        },
        description="\n".join([description, *meanings]),
    )
    return dg.ConfigMapping(_given, config_schema=schema, receive_processed_config_values=False)


def _given(configured: Mapping[str, object]) -> Mapping[str, object]:
    """The same, without what is left out."""
    return {name: entry for name, entry in configured.items() if entry}


audit_job = dg.define_asset_job(
    "audit_job",
    # The other checks of these assets are for what is open: each run of the main job makes them.
    selection=dg.AssetSelection.assets(*_AUDITED).without_checks()
    | dg.AssetSelection.checks(*audit_rows.check_keys),
    description=(
        "Proves over every row that each request is in exactly one bucket and that costs add up, "
        "keeps what days have cost that are over, and clears the server of batches and files of "
        "ours that nothing needs."
    ),
    executor_def=run_executor,
    # Its statements give up after half an hour each.
    tags={**WATCHED, "dagster/max_runtime": "7200"},
)
"""Counts every row, keeps the sums of days that are over, and looks for orphans on the server."""

report_job = dg.define_asset_job(
    "report_job",
    selection=[draw_reports],
    description="Draws turnaround, cost by company, and original against optimized.",
    executor_def=run_executor,
    tags={**WATCHED, "dagster/max_runtime": "1800"},
)
"""Materializes the reports, and changes nothing."""


@dg.graph
def prune() -> None:
    """What is older than BATCH_MONITORING_RETENTION_DAYS goes."""
    prune_history()


def prune_job(settings: Settings) -> dg.JobDefinition:
    """The job that keeps the history from growing for ever."""
    return prune.to_job(
        name="prune_job",
        description="Deletes old metrics, and old runs and events of Dagster's.",
        executor_def=run_executor,
        # One statement may take five minutes after the op's time is up.
        tags={**WATCHED, "dagster/max_runtime": str(round(settings.op_seconds + 600))},
    )
