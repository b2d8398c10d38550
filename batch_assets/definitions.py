"""What Dagster loads. Everything is declared in the module of its kind."""

from collections.abc import Mapping

import dagster as dg

from batch_assets.assets import row_conservation
from batch_assets.checks import all_rows_conserved, open_rows_conserved
from batch_assets.jobs import audit_job, batch_processing_job, control_jobs
from batch_assets.resources.defaults import default_resources
from batch_assets.schedules import audit_schedule, batch_processing_schedule
from batch_assets.settings import load_settings


def build_definitions(*, resource_overrides: Mapping[str, object] | None = None) -> dg.Definitions:
    """The definitions; with other resources than the default ones where given, by their key."""
    settings = load_settings()
    job, audit = batch_processing_job(settings), audit_job()
    return dg.Definitions(
        assets=[row_conservation()],
        asset_checks=[open_rows_conserved, all_rows_conserved],
        jobs=[job, audit, *control_jobs(settings)],
        schedules=[batch_processing_schedule(job, settings), audit_schedule(audit, settings)],
        resources={**default_resources(), **(resource_overrides or {})},
    )


defs = build_definitions()
