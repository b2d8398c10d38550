"""The cooldown after failed runs: kept here, decided in `ticks.starting`, and ended by a trial run.

The cooldown holds for each schedule and sensor the moment that Dagster has the last failure; this
sensor keeps it where people outside Dagster see it (`batch_assets.schedule_cooldown`), starts the
one run that tries whether it is over, and takes it away after a run that succeeded.

The cursor is what was kept last: one line of text. The run key is the failed run's id, so that each
failure is tried again by one run and no more.
"""

from typing import Final

import dagster as dg

from batch_assets.store.breakers import Cooldowns, SchedulerCooldown
from batch_assets.ticks.evaluator import TickEvaluator
from batch_assets.ticks.starting import (
    SWITCHED_OFF,
    Judgement,
    TickContext,
    cooldown_sentence,
    judge,
)

NAME: Final = "failure_sensor"
SECONDS: Final = 15

_NO_COOLDOWN: Final = "no cooldown"


def decide(tick: TickContext, judged: Judgement) -> dg.RunRequest | str:
    """The trial run once a cooldown is over, or why there is none now."""
    if judged.cooldown is None:
        return _history(tick, judged)
    if tick.now < judged.cooldown.until:
        return cooldown_sentence(judged.cooldown, judged.unread)
    active = tick.runs.active()
    if active is not None:
        return f"{judged.cooldown.reason}. {active}"
    return dg.RunRequest(
        run_key=f"trial-{judged.runs[0].id}",
        tags={"batch_assets/reason": f"{judged.cooldown.reason}: a single run on trial"},
    )


def evaluate(tick: TickContext, cursor: str | None) -> dg.SensorResult | dg.SkipReason:
    """Evaluate one tick; no statement while no failures ask for a cooldown and none is kept."""
    if not tick.settings.schedules_enabled:
        return dg.SkipReason(SWITCHED_OFF)
    judged = judge(tick)
    kept = _NO_COOLDOWN if judged.cooldown is None else judged.cooldown.until.isoformat()
    if kept != cursor and judged.unread is None:
        tick.database.read(lambda engine: _keep(Cooldowns(engine), judged))
        cursor = kept
    decided = decide(tick, judged)
    if isinstance(decided, str):
        return dg.SensorResult(skip_reason=decided, cursor=cursor)
    return dg.SensorResult(run_requests=[decided], cursor=cursor)


def failure_sensor(job: dg.JobDefinition, evaluator: TickEvaluator) -> dg.SensorDefinition:
    """Declare the sensor, switched on."""

    def evaluate_tick(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        return evaluator.sense(context, job.name, evaluate)

    return dg.SensorDefinition(
        name=NAME,
        description=(
            "Notices that runs of batch_processing_job fail one after the other, keeps the "
            "cooldown in which neither schedule nor sensors start any, and starts a single one "
            "on trial when it is over. `batch-assets reset` ends the cooldown at once."
        ),
        job_name=job.name,
        evaluation_fn=evaluate_tick,
        minimum_interval_seconds=SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )


def _keep(cooldowns: Cooldowns, judged: Judgement) -> None:
    if judged.cooldown is None:
        cooldowns.end_scheduler_cooldown()
        return
    cooldown = judged.cooldown
    cooldowns.cool_scheduler(
        SchedulerCooldown(cooldown.failed_runs, cooldown.until, cooldown.reason, judged.reset_at)
    )


def _history(tick: TickContext, judged: Judgement) -> str:
    if not judged.runs:
        return "No run has ended yet."
    if not judged.failed_runs:
        return "The last run has succeeded, or failed runs were reset since."
    failed = "run has" if judged.failed_runs == 1 else f"{judged.failed_runs} runs have"
    if not tick.settings.cooldown_minutes:
        return f"The last {failed} failed; BATCH_COOLDOWN_MINUTES is 0, so there is no cooldown."
    limit = tick.settings.cooldown_after_failed_runs
    return f"The last {failed} failed; a cooldown begins after {limit} in a row."
