"""Whether a run may be started now: the one place that decides, for each schedule and sensor."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Final

from batch_assets.domain.errors import BatchAssetsError
from batch_assets.domain.schedule_cooldown import ScheduleCooldown
from batch_assets.settings import Settings
from batch_assets.store.cooldowns import Cooldowns
from batch_assets.ticks.runs import DecidedRun, Runs, clock_time
from batch_assets.ticks.tick_database import TickDatabase

SWITCHED_OFF: Final = "BATCH_SCHEDULES_ENABLED is false."

TRIAL_GRACE: Final = timedelta(minutes=2)
"""How long after a cooldown the trial run is the failure sensor's alone to start.

So there is one and not two; whoever comes after that starts it, should that sensor be off.
"""


@dataclass(frozen=True)
class TickContext:
    """What one tick may look at, and the moment at which it does."""

    settings: Settings
    runs: Runs
    database: TickDatabase
    now: datetime


@dataclass(frozen=True)
class Judgement:
    """What the latest runs and the last reset say about starting another one."""

    runs: Sequence[DecidedRun]
    """The last ones that have ended, the last one first."""
    failed_runs: int = 0
    """How many of them have failed in a row since the last reset."""
    cooldown: ScheduleCooldown | None = None
    reset_at: datetime | None = None
    unread: str | None = None
    """Why the last reset could not be looked up: then the cooldown stands."""


def judge(tick: TickContext) -> Judgement:
    """Whether failed runs ask for a cooldown; our database is asked only if they do."""
    rule = tick.settings.cooldown_rule()
    runs = tick.runs.decided(rule.counted_runs)
    failed_at = [run.ended_at for run in takewhile(lambda run: run.has_failed, runs)]
    cooldown = rule.cooldown(failed_at)
    if cooldown is None:
        return Judgement(runs, len(failed_at))
    try:
        reset_at = tick.database.read(lambda engine: Cooldowns(engine).scheduler().reset_at)
    except BatchAssetsError as error:
        return Judgement(runs, cooldown.failed_runs, cooldown, unread=str(error))
    counted = [at for at in failed_at if reset_at is None or at > reset_at]
    return Judgement(runs, len(counted), rule.cooldown(counted), reset_at)


def why_none_beside(tick: TickContext) -> str | None:
    """Why no run is to be started whatever the last ones came to: one is active, or none is wanted.

    `None` if one may be.
    """
    if not tick.settings.schedules_enabled:
        return SWITCHED_OFF
    active = tick.runs.active()
    return None if active is None else str(active)


def why_no_run(tick: TickContext) -> str | None:
    """Why no run is to be started now, whatever there is to do; `None` if one may be."""
    reason = why_none_beside(tick)
    if reason is not None:
        return reason
    judged = judge(tick)
    if judged.cooldown is None or tick.now >= judged.cooldown.until + TRIAL_GRACE:
        return None
    if tick.now >= judged.cooldown.until:
        return (
            f"{judged.cooldown.reason}, and the cooldown is over: failure_sensor starts a single "
            "run on trial."
        )
    return cooldown_sentence(judged.cooldown, judged.unread)


def cooldown_sentence(cooldown: ScheduleCooldown, unread: str | None) -> str:
    """Why nothing is started, until when, and how to go on."""
    pages = "Its page says" if cooldown.failed_runs == 1 else "Their pages say"
    unseen = f" Whether it was reset cannot be seen: {unread}" if unread else ""
    return (
        f"{cooldown.reason}: no run is started before {clock_time(cooldown.until)}, then a single "
        f"one. {pages} why; `batch-assets reset` lets runs start again at once.{unseen}"
    )
