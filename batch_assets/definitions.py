"""What Dagster loads. Everything is declared in the module of its kind."""

from collections.abc import Mapping

import dagster as dg

from batch_assets.jobs import batch_processing_job, refresh_companies_job
from batch_assets.resources.defaults import default_resources
from batch_assets.schedules import batch_processing_schedule
from batch_assets.settings import load_settings


def build_definitions(*, resource_overrides: Mapping[str, object] | None = None) -> dg.Definitions:
    """The definitions; with other resources than the default ones where given, by their key."""
    settings = load_settings()
    job = batch_processing_job(settings)
    return dg.Definitions(
        jobs=[job, refresh_companies_job()],
        schedules=[batch_processing_schedule(job, settings)],
        resources={**default_resources(), **(resource_overrides or {})},
    )


defs = build_definitions()
