"""When jobs run by themselves that look at or tidy up: never twice at a time."""

from typing import Final

import dagster as dg

from batch_assets.schedules.active import active_run_id
from batch_assets.settings import Settings

AUDIT_CRON: Final = "17 3 * * *"
PRUNE_CRON: Final = "47 3 * * *"
REPORT_CRON: Final = "7 * * * *"


def audit_schedule(job: dg.JobDefinition, settings: Settings) -> dg.ScheduleDefinition:
    """The audit's schedule: it only reads."""
    return _schedule(
        job,
        settings,
        name="audit_schedule",
        cron=AUDIT_CRON,
        description="Starts audit_job once a day unless an audit is active.",
        run="Audit",
    )


def report_schedule(job: dg.JobDefinition, settings: Settings) -> dg.ScheduleDefinition:
    """The pictures' schedule: it only reads."""
    return _schedule(
        job,
        settings,
        name="report_schedule",
        cron=REPORT_CRON,
        description="Starts report_job once an hour unless a run of it is active.",
        run="Report",
    )


def prune_schedule(job: dg.JobDefinition, settings: Settings) -> dg.ScheduleDefinition:
    """The schedule by which old history goes; what was paid for is never among it."""
    return _schedule(
        job,
        settings,
        name="prune_schedule",
        cron=PRUNE_CRON,
        description="Starts prune_job once a day unless a run of it is active.",
        run="Prune run",
    )


def _schedule(
    job: dg.JobDefinition, settings: Settings, *, name: str, cron: str, description: str, run: str
) -> dg.ScheduleDefinition:
    """A schedule in UTC, switched on; `run` is what its skip reason calls a run."""

    def tick(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        if not settings.processing_enabled:
            return dg.SkipReason("BATCH_PROCESSING_ENABLED is false.")
        active = active_run_id(context, job.name)
        if active is not None:
            return dg.SkipReason(f"{run} {active} is still active.")
        return dg.RunRequest()

    return dg.ScheduleDefinition(
        name=name,
        description=description,
        job=job,
        cron_schedule=cron,
        execution_timezone="UTC",
        execution_fn=tick,
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )
