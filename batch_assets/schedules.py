"""The schedule: when the job runs by itself, and when a tick is skipped."""

import dagster as dg

from batch_assets.domain.errors import ConfigurationError
from batch_assets.settings import Settings

ACTIVE = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
"""The statuses of runs that are still under way, or will be."""


def decide(*, enabled: bool, active_run_id: str | None) -> dg.RunRequest | dg.SkipReason:
    """What a tick does: start a run unless that is switched off or one is active."""
    if not enabled:
        return dg.SkipReason("BATCH_PROCESSING_ENABLED is false.")
    if active_run_id is not None:
        return dg.SkipReason(f"Run {active_run_id} is still active.")
    return dg.RunRequest()


def batch_processing_schedule(job: dg.JobDefinition, settings: Settings) -> dg.ScheduleDefinition:
    """The job's schedule, switched on.

    Before a first submission from a database that this project did not make, an operator has to
    confirm; so that a schedule which is on from the start submits nothing by surprise.
    """

    def tick(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        active = context.instance.get_runs(
            dg.RunsFilter(job_name=job.name, statuses=ACTIVE), limit=1
        )
        return decide(
            enabled=settings.processing_enabled,
            active_run_id=active[0].run_id if active else None,
        )

    try:
        return dg.ScheduleDefinition(
            name="batch_processing_schedule",
            description="Starts batch_processing_job unless a run of it is active.",
            job=job,
            cron_schedule=settings.schedule,
            execution_timezone="UTC",
            execution_fn=tick,
            default_status=dg.DefaultScheduleStatus.RUNNING,
        )
    except dg.DagsterInvalidDefinitionError:
        raise ConfigurationError(
            f"BATCH_SCHEDULE is '{settings.schedule}': it must be a cron expression with five "
            "fields, such as */2 * * * *."
        ) from None
