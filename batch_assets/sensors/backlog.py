"""A run as soon as a company is due, without waiting for the schedule.

The cursor is the run key of the last run that was asked for: one line of text. The key is made from
which companies have become due and when, so that the same backlog never starts a second run, were
the first one to fail. What a run has looked at and left, for a cap perhaps, is not newly due: the
schedule goes on with it.
"""

from collections.abc import Callable

import dagster as dg

from batch_assets.domain.display import plural
from batch_assets.stages.circuit_breakers import submission_held_by
from batch_assets.store.registry import Registry
from batch_assets.store.watching import NewlyDue, Watching
from batch_assets.ticks.evaluator import TickEvaluator
from batch_assets.ticks.starting import TickContext, clock_time, why_no_run

NAME = "backlog_sensor"


def decide(
    found: NewlyDue, cursor: str | None, held_because: Callable[[], str | None]
) -> dg.SensorResult | dg.SkipReason:
    """Start a run for what has become due, once, unless nothing can be submitted anyway.

    `held_because` is asked only if there is something to submit.
    """
    if found.fingerprint is None:
        return dg.SkipReason(_nothing(found))
    due = _due(found)
    run_key = f"due-{found.fingerprint}"
    if run_key == cursor:
        return dg.SkipReason(
            f"A run was started for this already ({due}); the schedule goes on with what it left."
        )
    held = held_because()
    if held is not None:
        return dg.SkipReason(f"{due}, but nothing can be submitted now. {held}")
    tags = {"batch_assets/reason": due}
    return dg.SensorResult(run_requests=[dg.RunRequest(run_key=run_key, tags=tags)], cursor=run_key)


def evaluate(tick: TickContext, cursor: str | None) -> dg.SensorResult | dg.SkipReason:
    """Evaluate one tick; at most one statement while nothing is newly due."""
    reason = why_no_run(tick)
    if reason is not None:
        return dg.SkipReason(reason)
    policy = tick.settings.policy()
    rule = policy.due_rule
    account_name = tick.settings.account_name
    found = tick.database.read(
        lambda engine: Watching(engine, account_name).newly_due(rule, tick.now)
    )
    return decide(found, cursor, lambda: _held_because(tick, policy.external_quiet_seconds))


def backlog_sensor(job: dg.JobDefinition, evaluator: TickEvaluator) -> dg.SensorDefinition:
    """Declare the sensor, switched on."""

    def evaluate_tick(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        return evaluator.sense(context, job.name, evaluate)

    return dg.SensorDefinition(
        name=NAME,
        description=(
            "Starts batch_processing_job as soon as a company has enough requests waiting "
            "(BATCH_MIN_SIZE) or one has waited long enough (BATCH_MAX_WAIT_MINUTES), unless a run "
            "is active, too many have failed, or nothing can be submitted now."
        ),
        # Given the job itself, Dagster would copy the sensor and warn of a beta of its own.
        job_name=job.name,
        evaluation_fn=evaluate_tick,
        minimum_interval_seconds=evaluator.settings.backlog_check_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )


def _held_because(tick: TickContext, external_quiet_seconds: float) -> str | None:
    account_name = tick.settings.account_name
    seen = tick.database.read(
        lambda engine: Registry(engine, external_quiet_seconds, account_name).snapshot()
    )
    return submission_held_by(tick.database.endpoints.profile, seen)


def _due(found: NewlyDue) -> str:
    """Such as "3 companies have become due: 2 by size, 1 by age"."""
    old = found.companies - found.large_companies
    kinds = [f"{found.large_companies:,} by size"] * bool(found.large_companies)
    kinds += [f"{old:,} by age"] * bool(old)
    companies = plural(found.companies, "company has", "companies have")
    return f"{companies} become due: {', '.join(kinds)}"


def _nothing(found: NewlyDue) -> str:
    waiting = {0: "none waits", 1: "one waits"}.get(
        found.waiting_companies, f"{found.waiting_companies:,} wait"
    )
    said = f"No company has become due since the last run looked: {waiting}"
    if found.next_due_at is not None:
        said += f", the next is due by its age at {clock_time(found.next_due_at)}"
    if found.cooling_until is not None:
        models = ", ".join(found.models_in_cooldown)
        until = clock_time(found.cooling_until)
        said += f"; requests for {models} are in cooldown until {until} at most"
    return f"{said}."
