"""The pause after failed runs: kept here, decided in `ticks.starting`, and ended by a trial run.

The pause holds for each schedule and sensor the moment that Dagster has the last failure; this
sensor keeps it where people outside Dagster see it (`batch_assets.scheduler_pause`), starts the one
run that tries whether it is over, and takes it away after a run that succeeded.

The cursor is what was kept last: one line of text. The run key is the failed run's id, so that each
failure is tried again by one run and no more.
"""

from typing import Final

import dagster as dg

from batch_assets.store.pauses import Pauses, SchedulerPause
from batch_assets.ticks.evaluation import Post
from batch_assets.ticks.starting import SWITCHED_OFF, Judgement, View, judge, rest_sentence

NAME: Final = "failure_sensor"
SECONDS: Final = 15

_NO_PAUSE: Final = "no pause"


def decide(view: View, judged: Judgement) -> dg.RunRequest | str:
    """The trial run once a pause is over, or why there is none now."""
    if judged.rest is None:
        return _history(view, judged)
    if view.now < judged.rest.until:
        return rest_sentence(judged.rest, judged.unread)
    active = view.runs.active()
    if active is not None:
        return f"{judged.rest.reason}. {active}"
    return dg.RunRequest(
        run_key=f"trial-{judged.runs[0].id}",
        tags={"batch_assets/reason": f"{judged.rest.reason}: a single run on trial"},
    )


def look(view: View, cursor: str | None) -> dg.SensorResult | dg.SkipReason:
    """One tick; no statement while no failures ask for a pause and none is kept."""
    if not view.settings.schedules_enabled:
        return dg.SkipReason(SWITCHED_OFF)
    judged = judge(view)
    kept = _NO_PAUSE if judged.rest is None else judged.rest.until.isoformat()
    if kept != cursor and judged.unread is None:
        view.lookout.see(lambda engine: _keep(Pauses(engine), judged))
        cursor = kept
    decided = decide(view, judged)
    if isinstance(decided, str):
        return dg.SensorResult(skip_reason=decided, cursor=cursor)
    return dg.SensorResult(run_requests=[decided], cursor=cursor)


def failure_sensor(job: dg.JobDefinition, post: Post) -> dg.SensorDefinition:
    """The sensor, switched on."""

    def tick(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        return post.evaluate(context, job, lambda view: look(view, context.cursor))

    return dg.SensorDefinition(
        name=NAME,
        description=(
            "Notices that runs of batch_processing_job fail one after the other, keeps the pause "
            "in which neither schedule nor sensors start any, and starts a single one on trial "
            "when it is over. `batch-assets reset` ends the pause at once."
        ),
        job_name=job.name,
        evaluation_fn=tick,
        minimum_interval_seconds=SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )


def _keep(pauses: Pauses, judged: Judgement) -> None:
    if judged.rest is None:
        pauses.end_scheduler_pause()
        return
    rest = judged.rest
    pauses.pause_scheduler(
        SchedulerPause(rest.failed_runs, rest.until, rest.reason, judged.reset_at)
    )


def _history(view: View, judged: Judgement) -> str:
    if not judged.runs:
        return "No run has ended yet."
    if not judged.failed_runs:
        return "The last run has succeeded, or failed runs were reset since."
    failed = "run has" if judged.failed_runs == 1 else f"{judged.failed_runs} runs have"
    if not view.settings.pause_minutes:
        return f"The last {failed} failed; BATCH_PAUSE_MINUTES is 0, so there is no pause."
    limit = view.settings.pause_after_failed_runs
    return f"The last {failed} failed; a pause begins after {limit} in a row."
