"""What Dagster loads. Everything is declared in the module of its kind."""

import dagster as dg

from batch_assets.assets import audit_rows, clear_orphans, declared_assets, draw_reports
from batch_assets.checks import alerts, open_rows_conserved
from batch_assets.jobs import (
    audit_job,
    batch_processing_job,
    control_jobs,
    flex_job,
    prune_job,
    report_job,
)
from batch_assets.ops.handing_on import RunStateIOManager
from batch_assets.resources.connections import WiringResource
from batch_assets.resources.pipeline import default_resources
from batch_assets.resources.run_executor import run_executor
from batch_assets.schedules import (
    audit_schedule,
    batch_processing_schedule,
    flex_schedule,
    prune_schedule,
    report_schedule,
)
from batch_assets.sensors import backlog_sensor, completion_sensor, failure_sensor
from batch_assets.settings import load_settings
from batch_assets.ticks.evaluator import TickEvaluator


def build_definitions(
    wiring: WiringResource | None = None,
    *,
    executor: dg.ExecutorDefinition | None = None,
) -> dg.Definitions:
    """Build the definitions; on another wiring than the environment's if given.

    `executor` is that of the main job; any of Dagster's may be given, and its ops hand on by the
    database then. Without one they run in one process.

    Raises:
        BatchAssetsError: The executor is not supported.
    """
    settings = load_settings()
    job = batch_processing_job(settings, executor)
    flex, prune = flex_job(settings), prune_job(settings)
    evaluator = TickEvaluator(settings)
    resources = default_resources(wiring)
    if executor is not None:
        resources["io_manager"] = RunStateIOManager.configure_at_launch(
            database=resources["database"]
        )
    return dg.Definitions(
        assets=[*declared_assets(), audit_rows, clear_orphans, draw_reports],
        asset_checks=[open_rows_conserved, alerts],
        jobs=[job, flex, audit_job, report_job, prune, *control_jobs(settings)],
        schedules=[
            batch_processing_schedule(job.name, evaluator),
            flex_schedule(flex.name, evaluator),
            audit_schedule(audit_job.name, evaluator),
            report_schedule(report_job.name, evaluator),
            prune_schedule(prune.name, evaluator),
        ],
        sensors=[
            backlog_sensor(job, evaluator),
            completion_sensor(job, evaluator),
            failure_sensor(job, evaluator),
        ],
        resources=resources,
        # For a check that somebody executes in the UI: a process of its own takes far longer.
        executor=run_executor,
    )


defs = build_definitions()
