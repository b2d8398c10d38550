"""Runs that another one must not overlap."""

from typing import Final

import dagster as dg

ACTIVE: Final = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
"""The statuses of runs that are still under way, or will be."""


def active_run_id(context: dg.ScheduleEvaluationContext, job_name: str) -> str | None:
    """The id of a run of the job that is under way or will be."""
    runs = context.instance.get_runs(dg.RunsFilter(job_name=job_name, statuses=ACTIVE), limit=1)
    return runs[0].run_id if runs else None
