"""When every row is counted by itself: once a day, and never twice at a time."""

import dagster as dg

from batch_assets.schedules.active import active_run_id
from batch_assets.settings import Settings

CRON = "17 3 * * *"


def audit_schedule(job: dg.JobDefinition, settings: Settings) -> dg.ScheduleDefinition:
    """The audit's schedule, switched on: it only reads."""

    def tick(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        if not settings.processing_enabled:
            return dg.SkipReason("BATCH_PROCESSING_ENABLED is false.")
        active = active_run_id(context, job.name)
        if active is not None:
            return dg.SkipReason(f"Audit {active} is still active.")
        return dg.RunRequest()

    return dg.ScheduleDefinition(
        name="audit_schedule",
        description="Starts audit_job once a day unless an audit is active.",
        job=job,
        cron_schedule=CRON,
        execution_timezone="UTC",
        execution_fn=tick,
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )
