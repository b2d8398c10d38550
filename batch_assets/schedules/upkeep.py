"""When jobs run by themselves that look at or tidy up: never twice at a time."""

from typing import Final

import dagster as dg

from batch_assets.schedules.declaring import schedule
from batch_assets.ticks.evaluation import Post
from batch_assets.ticks.starting import View, why_none_beside

AUDIT_CRON: Final = "17 3 * * *"
PRUNE_CRON: Final = "47 3 * * *"
REPORT_CRON: Final = "7 * * * *"


def look(view: View) -> dg.RunRequest | dg.SkipReason:
    """One tick: a run, unless that is switched off or one is active."""
    reason = why_none_beside(view)
    return dg.RunRequest() if reason is None else dg.SkipReason(reason)


def audit_schedule(job: dg.JobDefinition, post: Post) -> dg.ScheduleDefinition:
    """The audit's schedule: it changes no row, and clears what strays on the server."""
    return schedule(
        job,
        post,
        look,
        name="audit_schedule",
        cron=AUDIT_CRON,
        description="Starts audit_job once a day unless an audit is active.",
    )


def report_schedule(job: dg.JobDefinition, post: Post) -> dg.ScheduleDefinition:
    """The pictures' schedule: it only reads."""
    return schedule(
        job,
        post,
        look,
        name="report_schedule",
        cron=REPORT_CRON,
        description="Starts report_job once an hour unless a run of it is active.",
    )


def prune_schedule(job: dg.JobDefinition, post: Post) -> dg.ScheduleDefinition:
    """The schedule by which old history goes; what was paid for is never among it."""
    return schedule(
        job,
        post,
        look,
        name="prune_schedule",
        cron=PRUNE_CRON,
        description="Starts prune_job once a day unless a run of it is active.",
    )
