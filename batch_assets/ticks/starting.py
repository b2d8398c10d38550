"""Whether a run may be started now: the one place that decides, for each schedule and sensor.

It goes by what Dagster knows of a job's runs: which one is under way, and how the last ones ended.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import Final, Protocol

import dagster as dg

from batch_assets.domain.breakers import ScheduleCooldown
from batch_assets.domain.errors import BatchAssetsError
from batch_assets.domain.hosts import UNHEARD_SECONDS
from batch_assets.resources.run_launcher import IN_PROCESS, RunWatch
from batch_assets.settings import Settings
from batch_assets.store.breakers import Cooldowns
from batch_assets.ticks.tick_database import TickDatabase

ACTIVE: Final = [dg.DagsterRunStatus.QUEUED, *IN_PROCESS]
"""The statuses of runs that are still under way, or will be."""

_OLD: Final = timedelta(seconds=UNHEARD_SECONDS)
_DECIDED: Final = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]
"""A run that a person has cancelled says nothing about the next one."""
SWITCHED_OFF: Final = "BATCH_SCHEDULES_ENABLED is false."

TRIAL_GRACE: Final = timedelta(minutes=2)
"""How long after a cooldown the trial run is the failure sensor's alone to start.

So there is one and not two; whoever comes after that starts it, should that sensor be off.
"""


@dataclass(frozen=True, slots=True)
class ActiveRun:
    """A run that another one must not overlap."""

    id: str
    status: str
    since: datetime
    """When it began, or was asked for if it has not begun."""

    def __str__(self) -> str:
        return f"Run {self.id} is still active ({self.status} since {clock_time(self.since)})."


@dataclass(frozen=True, slots=True)
class DecidedRun:
    """A run that came to its own end."""

    id: str
    has_failed: bool
    ended_at: datetime


class Runs(Protocol):
    """The runs of one job."""

    def active(self) -> ActiveRun | None:
        """A run that is under way or will be."""

    def decided(self, limit: int) -> Sequence[DecidedRun]:
        """The latest runs that have succeeded or failed, the last one first."""


@dataclass(frozen=True)
class InstanceRuns:
    """The runs of one job as Dagster has kept them; each method is one query of its storage."""

    instance: dg.DagsterInstance
    job_name: str
    watch: RunWatch = field(default_factory=RunWatch)
    tags: Mapping[str, str] = field(default_factory=dict)
    """What those have that count: of several accounts each has its own."""

    def active(self) -> ActiveRun | None:
        """See `Runs`.

        While it has been active for longer than a run takes to be heard of, all that are under way
        are looked at: Dagster's daemon does so, too, unless its `dagster.yaml` is an older one.
        """
        active = self._first_active()
        if active is None or datetime.now(UTC) - active.since < _OLD:
            return active
        return self._first_active() if self.watch.close_dead_runs(self.instance) else active

    def _first_active(self) -> ActiveRun | None:
        for record in self._records(ACTIVE, 1):
            began = record.start_time
            return ActiveRun(
                id=record.dagster_run.run_id,
                status=record.dagster_run.status.value.lower().replace("_", " "),
                since=(
                    datetime.fromtimestamp(began, UTC)
                    if began
                    else _not_ahead(record.create_timestamp)
                ),
            )
        return None

    def decided(self, limit: int) -> Sequence[DecidedRun]:
        """See `Runs`."""
        return [
            DecidedRun(
                id=record.dagster_run.run_id,
                has_failed=record.dagster_run.status is dg.DagsterRunStatus.FAILURE,
                ended_at=(
                    datetime.fromtimestamp(record.end_time, UTC)
                    if record.end_time
                    else _not_ahead(record.update_timestamp)
                ),
            )
            for record in self._records(_DECIDED, limit)
        ]

    def _records(
        self, statuses: Sequence[dg.DagsterRunStatus], limit: int
    ) -> Sequence[dg.RunRecord]:
        which = dg.RunsFilter(job_name=self.job_name, statuses=statuses, tags=dict(self.tags))
        return self.instance.get_run_records(which, limit=limit)


def _not_ahead(kept: datetime) -> datetime:
    """A moment that Dagster keeps without a zone; before our sessions were in UTC, in local time.

    What lies in the future by that began no later than now.
    """
    return min(kept, datetime.now(UTC))


def clock_time(moment: datetime) -> str:
    """A moment as people read it in the reason of a tick."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


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


@dataclass(frozen=True, slots=True)
class Standing:
    """What the runs of a job say about starting another one now, whatever there is to do."""

    why_not: str | None
    """Why none is to be started; `None` if one may be."""
    last: DecidedRun | None = None
    """The last one that has ended, where one may be started."""


def standing(tick: TickContext) -> Standing:
    """Say whether a run may be started now, and which was the last one."""
    reason = why_none_beside(tick)
    if reason is not None:
        return Standing(reason)
    judged = judge(tick)
    if judged.cooldown is None or tick.now >= judged.cooldown.until + TRIAL_GRACE:
        return Standing(None, judged.runs[0] if judged.runs else None)
    if tick.now >= judged.cooldown.until:
        return Standing(
            f"{judged.cooldown.reason}, and the cooldown is over: failure_sensor starts a single "
            "run on trial."
        )
    return Standing(cooldown_sentence(judged.cooldown, judged.unread))


def why_no_run(tick: TickContext) -> str | None:
    """Why no run is to be started now, whatever there is to do; `None` if one may be."""
    return standing(tick).why_not


def cooldown_sentence(cooldown: ScheduleCooldown, unread: str | None) -> str:
    """Why nothing is started, until when, and how to go on."""
    pages = "Its page says" if cooldown.failed_runs == 1 else "Their pages say"
    unseen = f" Whether it was reset cannot be seen: {unread}" if unread else ""
    return (
        f"{cooldown.reason}: no run is started before {clock_time(cooldown.until)}, then a single "
        f"one. {pages} why; `batch-assets reset` lets runs start again at once.{unseen}"
    )
