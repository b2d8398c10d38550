"""What is under way and what is stopped for a while, as `batch-assets status` says it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from batch_assets.cli.conventions import moment, plural
from batch_assets.cli.opening import OpenDatabase
from batch_assets.domain.breakers import Breaker, BreakerState
from batch_assets.domain.display import span
from batch_assets.domain.livedash_timers import Act
from batch_assets.domain.lookups import LastRun, OpenBatches

if TYPE_CHECKING:
    from batch_assets.stages.controls.query_mode import ModeReport
    from batch_assets.store.breakers import ModelCooldown, SchedulerCooldown

MOST_ACTS: Final = 10
ACTS: Final = 10_000
"""So many acts are read at most."""


@dataclass(frozen=True, slots=True)
class Stoppages:
    """Breakers that are not closed, and the cooldowns of models and of the schedule."""

    breakers: list[Breaker]
    models: list[ModelCooldown]
    schedule: SchedulerCooldown | None
    """`None`: the schedule starts runs, or is about to try one."""
    acts: list[Act]
    """What LiveDash's own timers were seen to do a short while ago, newest first."""

    def halts(self) -> Iterable[str]:
        """One for each breaker and cooldown, with what to do where anything can be done."""
        if self.schedule is not None:
            yield (
                f"Schedule and sensors are in cooldown until {moment(self.schedule.until)}: "
                f"{_lowered(self.schedule.reason)}. `batch-assets reset` ends it."
            )
        for breaker in self.breakers:
            if breaker.seconds_left or breaker.state is BreakerState.HALF_OPEN:
                yield f"No {breaker.operation}: {breaker.refusal}."
            else:
                yield f"The next {breaker.operation} is on trial: {breaker.history}."
        for model in self.models:
            yield (
                f"{model.model} is in cooldown until {moment(model.until)} ({model.reason}): none "
                "of its requests is sent before."
            )

    def acts_of_livedash(self) -> Iterable[str]:
        """One for each act of LiveDash's own timers."""
        for act in self.acts[:MOST_ACTS]:
            yield _of_act(act)
        if len(self.acts) > MOST_ACTS:
            yield f"And {len(self.acts) - MOST_ACTS:,} more of the kind: see --json."

    def document(self) -> dict[str, object]:
        """The same for `--json`."""
        return {
            "breakers": self.breakers,
            "models_in_cooldown": self.models,
            "schedule_cooldown": self.schedule,
            "livedash_acts": self.acts,
        }


def stoppages(database: OpenDatabase) -> Stoppages:
    """What is stopped at this moment."""
    from batch_assets.store.livedash_acts import LiveDashActs

    cooldown = database.cooldowns.scheduler()
    return Stoppages(
        breakers=[one for one in database.breakers.all() if one.state is not BreakerState.CLOSED],
        models=database.cooldowns.models(),
        schedule=cooldown if cooldown.is_running else None,
        acts=LiveDashActs(database.engine).recent(
            database.settings.policy().external_quiet_seconds, ACTS
        ),
    )


@dataclass(frozen=True, slots=True)
class Activity:
    """Batches that are not finished, how runs work on the database, and the last of them."""

    batches: list[OpenBatches]
    mode: ModeReport
    last_run: LastRun | None
    idle_run_minutes: float
    """After so long a run is started although there is nothing to do."""

    def sentences(self) -> Iterable[str]:
        """One for each."""
        open_ones = [
            f"{one.batches:,} {one.state} ({plural(one.requests, 'request')}, the oldest "
            f"{span(one.oldest_seconds)} old: {one.oldest_id})"
            for one in self.batches
        ]
        yield f"Batches: {', '.join(open_ones) or 'none is open'}."
        incomplete = sum(one.incomplete for one in self.batches)
        if incomplete:
            yield (
                f"Of the ended, {plural(incomplete, 'batch is', 'batches are')} looked at again: "
                "the server has not shown all of their results yet. BATCH_READING_GRACE_SECONDS "
                "says for how long."
            )
        yield self.mode.sentence
        idle = self.idle_run_minutes * 60
        if idle:
            yield f"While there is nothing to do, a run starts {span(idle)} after the last one."

    def document(self) -> dict[str, object]:
        """The same for `--json`."""
        return {
            "open_batches": self.batches,
            "mode": self.mode.mode,
            "stored_mode": self.mode.now,
            "last_run": self.last_run,
        }


def activity(database: OpenDatabase) -> Activity:
    """What is under way at this moment."""
    from batch_assets.stages.controls.query_mode import read_mode
    from batch_assets.store.lookups import Lookups

    lookups = Lookups(database.engine)
    return Activity(
        batches=lookups.open_batches(),
        mode=read_mode(database.stored_modes, database.settings.toggle().mode),
        last_run=lookups.last_run(),
        idle_run_minutes=database.settings.idle_run_minutes,
    )


def _of_act(act: Act) -> str:
    """What a timer has done, and whether it was bought by both."""
    of_company = f" of {act.company or act.company_id}"
    if act.timer == "create" and act.request_id is None:
        return f"LiveDash's create timer has bought batch {act.batch_id}{of_company}."
    did = {
        "create": "has bought",
        "retry": "has bought, synchronously,",
        "process": "has reset",
        "unknown": "has reset",
    }[act.timer]
    who = "Somebody" if act.timer == "unknown" else f"LiveDash's {act.timer} timer"
    twice = ", which was bought here, too" if act.is_duplicate else ""
    back = "" if act.is_purchase else "; it is back where it was"
    return f"{who} {did} request {act.request_id}{of_company}{twice}{back}."


def _lowered(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]
