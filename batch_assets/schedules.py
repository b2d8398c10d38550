"""The schedules: when the jobs run by themselves, and when a tick is skipped.

Each is in UTC and switched on from the start, and its tick never ends as an error. What the sensors
have left is taken up by `batch_processing_schedule`, which starts a run as long as there is work,
and now and then while there is none.
"""

from collections.abc import Callable, Iterator
from typing import Final

import dagster as dg

from batch_assets.domain.errors import ConfigurationError
from batch_assets.ticks.evaluator import TickEvaluator
from batch_assets.ticks.starting import TickContext, standing, why_none_beside
from batch_assets.ticks.work import look_for_work, nothing_by_flex, nothing_to_do, why_no_flex

FLEX_CRON: Final = "*/2 * * * *"
AUDIT_CRON: Final = "17 3 * * *"
PRUNE_CRON: Final = "47 3 * * *"
REPORT_CRON: Final = "7 * * * *"


def evaluate_processing(tick: TickContext) -> dg.RunRequest | dg.SkipReason:
    """Start a run, unless that is switched off, one is active, too many have failed, or there is
    nothing to do and the last one ended not long ago.
    """
    stands = standing(tick)
    if stands.why_not is not None:
        return dg.SkipReason(stands.why_not)
    work = look_for_work(tick, stands.last)
    if work.why is None:
        return dg.SkipReason(nothing_to_do(tick, stands.last, work.held))
    return dg.RunRequest(tags={"batch_assets/reason": work.why})


def evaluate_upkeep(tick: TickContext) -> dg.RunRequest | dg.SkipReason:
    """Start a run of a job that looks at or tidies up, unless that is switched off or one is
    active: never two at a time.
    """
    reason = why_none_beside(tick)
    return dg.RunRequest() if reason is None else dg.SkipReason(reason)


def batch_processing_schedule(job_name: str, evaluator: TickEvaluator) -> dg.ScheduleDefinition:
    """Declare the main job's schedule.

    Before a first submission from a database that this project did not make, an operator has to
    confirm; so that a schedule which is on from the start submits nothing by surprise.

    Raises:
        ConfigurationError: BATCH_SCHEDULE is no cron expression.
    """
    try:
        return _schedule(
            job_name,
            evaluator,
            evaluate_processing,
            name="batch_processing_schedule",
            cron=evaluator.settings.schedule,
            description=(
                "Starts batch_processing_job if there is anything to do, and else every "
                "BATCH_IDLE_RUN_MINUTES, unless a run of it is active or too many have failed."
            ),
            is_of_each_account=True,
        )
    except dg.DagsterInvalidDefinitionError:
        raise ConfigurationError(
            f"BATCH_SCHEDULE is '{evaluator.settings.schedule}': it must be a cron expression with "
            "five fields, such as */2 * * * *."
        ) from None


def evaluate_flex(tick: TickContext) -> dg.RunRequest | dg.SkipReason:
    """Start a run if there is anything to send by flex, unless one is active or none is wanted.

    Beside a run of another job all the same.
    """
    why_not = why_no_flex(tick) or why_none_beside(tick)
    if why_not is None:
        why_not = nothing_by_flex(tick)
    return dg.RunRequest() if why_not is None else dg.SkipReason(why_not)


def flex_schedule(job_name: str, evaluator: TickEvaluator) -> dg.ScheduleDefinition:
    """Declare the schedule by which goes by flex what cannot wait, if that is allowed."""
    return _schedule(
        job_name,
        evaluator,
        evaluate_flex,
        name="flex_schedule",
        cron=FLEX_CRON,
        description=(
            "Starts flex_job if a request that cannot wait can go by flex, unless a run of it is "
            "active."
        ),
        is_of_each_account=True,
    )


def audit_schedule(job_name: str, evaluator: TickEvaluator) -> dg.ScheduleDefinition:
    """Declare the audit's schedule: it counts rows, keeps sums, and clears orphans."""
    return _schedule(
        job_name,
        evaluator,
        evaluate_upkeep,
        name="audit_schedule",
        cron=AUDIT_CRON,
        description="Starts audit_job once a day unless an audit is active.",
    )


def report_schedule(job_name: str, evaluator: TickEvaluator) -> dg.ScheduleDefinition:
    """Declare the charts' schedule: it only reads."""
    return _schedule(
        job_name,
        evaluator,
        evaluate_upkeep,
        name="report_schedule",
        cron=REPORT_CRON,
        description="Starts report_job once an hour unless a run of it is active.",
    )


def prune_schedule(job_name: str, evaluator: TickEvaluator) -> dg.ScheduleDefinition:
    """Declare the schedule by which old history goes; what was paid for is never among it."""
    return _schedule(
        job_name,
        evaluator,
        evaluate_upkeep,
        name="prune_schedule",
        cron=PRUNE_CRON,
        description="Starts prune_job once a day unless a run of it is active.",
    )


def _schedule(
    job_name: str,
    evaluator: TickEvaluator,
    evaluate: Callable[[TickContext], dg.RunRequest | dg.SkipReason],
    *,
    name: str,
    cron: str,
    description: str,
    is_of_each_account: bool = False,
) -> dg.ScheduleDefinition:
    def evaluate_tick(
        context: dg.ScheduleEvaluationContext,
    ) -> Iterator[dg.RunRequest | dg.SkipReason]:
        if is_of_each_account:
            yield from evaluator.evaluate_each(context, job_name, evaluate)
        else:
            yield evaluator.evaluate(context, job_name, evaluate)

    return dg.ScheduleDefinition(
        name=name,
        description=description,
        job_name=job_name,
        cron_schedule=cron,
        execution_timezone="UTC",
        execution_fn=evaluate_tick,
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )
