"""When every row is counted by itself: once a day, and never twice at a time."""

import dagster as dg

from batch_assets.ticks.evaluation import Post
from batch_assets.ticks.starting import SWITCHED_OFF, View

CRON = "17 3 * * *"


def look(view: View) -> dg.RunRequest | dg.SkipReason:
    """One tick: an audit, unless that is switched off or one is active."""
    if not view.settings.processing_enabled:
        return dg.SkipReason(SWITCHED_OFF)
    active = view.runs.active()
    return dg.RunRequest() if active is None else dg.SkipReason(str(active))


def audit_schedule(job: dg.JobDefinition, post: Post) -> dg.ScheduleDefinition:
    """The audit's schedule, switched on: it only reads."""

    def tick(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        return post.evaluate(context, job, look)

    return dg.ScheduleDefinition(
        name="audit_schedule",
        description="Starts audit_job once a day unless an audit is active.",
        job=job,
        cron_schedule=CRON,
        execution_timezone="UTC",
        execution_fn=tick,
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )
