"""What Dagster loads. Everything is declared in the module of its kind."""

import dagster as dg

from batch_assets.assets import declared_assets, draw_reports
from batch_assets.checks import alerts, all_rows_conserved, open_rows_conserved
from batch_assets.jobs import (
    audit_job,
    batch_processing_job,
    control_jobs,
    prune_job,
    report_job,
)
from batch_assets.resources.connections import WiringResource
from batch_assets.resources.defaults import default_resources
from batch_assets.resources.run_executor import run_executor
from batch_assets.schedules import (
    audit_schedule,
    batch_processing_schedule,
    prune_schedule,
    report_schedule,
)
from batch_assets.sensors import backlog_sensor, completion_sensor, failure_sensor
from batch_assets.settings import load_settings
from batch_assets.ticks.evaluator import TickEvaluator


def build_definitions(wiring: WiringResource | None = None) -> dg.Definitions:
    """Build the definitions; on another wiring than the environment's if given."""
    settings = load_settings()
    job, audit = batch_processing_job(settings), audit_job()
    prune = prune_job(settings)
    evaluator = TickEvaluator(settings)
    return dg.Definitions(
        assets=[*declared_assets(), draw_reports],
        asset_checks=[open_rows_conserved, all_rows_conserved, alerts],
        jobs=[job, audit, report_job, prune, *control_jobs(settings)],
        schedules=[
            batch_processing_schedule(job.name, evaluator),
            audit_schedule(audit.name, evaluator),
            report_schedule(report_job.name, evaluator),
            prune_schedule(prune.name, evaluator),
        ],
        sensors=[
            backlog_sensor(job, evaluator),
            completion_sensor(job, evaluator),
            failure_sensor(job, evaluator),
        ],
        resources=default_resources(wiring),
        # For a check that somebody executes in the UI: a process of its own takes far longer.
        executor=run_executor,
    )


defs = build_definitions()
