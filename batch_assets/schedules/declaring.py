"""How every schedule is declared: in UTC, switched on, and with a tick that never is an error."""

from collections.abc import Callable

import dagster as dg

from batch_assets.ticks.evaluation import Post
from batch_assets.ticks.starting import View


def schedule(
    job: dg.JobDefinition,
    post: Post,
    look: Callable[[View], dg.RunRequest | dg.SkipReason],
    *,
    name: str,
    cron: str,
    description: str,
) -> dg.ScheduleDefinition:
    """A schedule whose ticks are what `look` makes of what is to be seen."""

    def tick(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        return post.evaluate(context, job, look)

    return dg.ScheduleDefinition(
        name=name,
        description=description,
        job=job,
        cron_schedule=cron,
        execution_timezone="UTC",
        execution_fn=tick,
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )
