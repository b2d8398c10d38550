"""When the job runs by itself, whatever waits: what the sensors have left is taken up here."""

import dagster as dg

from batch_assets.domain.errors import ConfigurationError
from batch_assets.schedules.declaring import schedule
from batch_assets.ticks.evaluation import Post
from batch_assets.ticks.starting import View, why_no_run


def look(view: View) -> dg.RunRequest | dg.SkipReason:
    """One tick: a run, unless that is switched off, one is active, or too many have failed."""
    reason = why_no_run(view)
    return dg.RunRequest() if reason is None else dg.SkipReason(reason)


def batch_processing_schedule(job: dg.JobDefinition, post: Post) -> dg.ScheduleDefinition:
    """The job's schedule, switched on.

    Before a first submission from a database that this project did not make, an operator has to
    confirm; so that a schedule which is on from the start submits nothing by surprise.
    """
    try:
        return schedule(
            job,
            post,
            look,
            name="batch_processing_schedule",
            cron=post.settings.schedule,
            description=(
                "Starts batch_processing_job unless a run of it is active or too many have failed."
            ),
        )
    except dg.DagsterInvalidDefinitionError:
        raise ConfigurationError(
            f"BATCH_SCHEDULE is '{post.settings.schedule}': it must be a cron expression with five "
            "fields, such as */2 * * * *."
        ) from None
