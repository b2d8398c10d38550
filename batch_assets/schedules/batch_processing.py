"""When the job runs by itself, and when a tick is skipped: a run is active, or too many failed."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import takewhile

import dagster as dg
from sqlalchemy.exc import SQLAlchemyError

from batch_assets.domain.errors import BatchAssetsError, ConfigurationError
from batch_assets.domain.pauses import PauseRule
from batch_assets.schedules.active import active_run_id
from batch_assets.settings import Settings
from batch_assets.store.engine import open_engine
from batch_assets.store.pauses import Pauses, SchedulerPause
from batch_assets.wiring import connect

_DECIDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]
"""A run that a person has cancelled says nothing about the next one."""


def decide(
    *, enabled: bool, active_run_id: str | None, paused_because: str | None = None
) -> dg.RunRequest | dg.SkipReason:
    """What a tick does: start a run unless that is switched off, one is active, or it rests."""
    if not enabled:
        return dg.SkipReason("BATCH_PROCESSING_ENABLED is false.")
    if active_run_id is not None:
        return dg.SkipReason(f"Run {active_run_id} is still active.")
    if paused_because is not None:
        return dg.SkipReason(paused_because)
    return dg.RunRequest()


def batch_processing_schedule(job: dg.JobDefinition, settings: Settings) -> dg.ScheduleDefinition:
    """The job's schedule, switched on.

    Before a first submission from a database that this project did not make, an operator has to
    confirm; so that a schedule which is on from the start submits nothing by surprise.
    """

    def tick(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        active = active_run_id(context, job.name)
        may_start = settings.processing_enabled and active is None
        return decide(
            enabled=settings.processing_enabled,
            active_run_id=active,
            paused_because=_paused_because(context, job.name, settings) if may_start else None,
        )

    try:
        return dg.ScheduleDefinition(
            name="batch_processing_schedule",
            description=(
                "Starts batch_processing_job unless a run of it is active or too many have failed."
            ),
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


def _paused_because(
    context: dg.ScheduleEvaluationContext, job_name: str, settings: Settings
) -> str | None:
    """Why no run is to be started now, although nothing else is in its way.

    The runs decide, as Dagster has kept them. Our database is asked only when they ask for a
    pause; if it does not answer there is none, since a run is what says best what is wrong with it.
    """
    rule = settings.pause_rule()
    runs = context.instance.get_run_records(
        dg.RunsFilter(job_name=job_name, statuses=_DECIDED), limit=rule.counted_runs + 1
    )
    try:
        if rule.until(_failed_at(runs)) is not None:
            with _opened_pauses(settings) as pauses:
                return _pause(pauses, rule, runs)
        if rule.until(_failed_at(runs[1:])) is not None:
            with _opened_pauses(settings) as pauses:
                pauses.end_scheduler_pause()
    except (BatchAssetsError, SQLAlchemyError) as error:
        context.log.warning("Pauses cannot be looked up: %s.", type(error).__name__)
    return None


def _pause(pauses: Pauses, rule: PauseRule, runs: Sequence[dg.RunRecord]) -> str | None:
    """Keep the pause that these runs ask for, and say why, until when and how to end it."""
    reset_at = pauses.scheduler().reset_at
    failed_at = [at for at in _failed_at(runs) if reset_at is None or at > reset_at]
    failed_at = failed_at[: rule.counted_runs]
    until = rule.until(failed_at)
    if until is None or until <= datetime.now(UTC):
        return None
    at_least = "At least the" if len(failed_at) == rule.counted_runs else "The"
    reason = f"{at_least} last {len(failed_at)} runs have failed"
    pauses.pause_scheduler(SchedulerPause(len(failed_at), until, reason, reset_at))
    return (
        f"{reason}: no run is started before {until:%Y-%m-%d %H:%M} UTC, then a single one. Their "
        "pages say why; `batch-assets reset` lets the schedule go on at once."
    )


def _failed_at(runs: Sequence[dg.RunRecord]) -> list[datetime]:
    """When the latest runs have failed, the last one first, back to one that succeeded."""
    failed = takewhile(lambda run: run.dagster_run.status is dg.DagsterRunStatus.FAILURE, runs)
    return [
        datetime.fromtimestamp(run.end_time, UTC) if run.end_time else run.update_timestamp
        for run in failed
    ]


@contextmanager
def _opened_pauses(settings: Settings) -> Iterator[Pauses]:
    engine = open_engine(connect(settings).database_url)
    try:
        yield Pauses(engine)
    finally:
        engine.dispose()
