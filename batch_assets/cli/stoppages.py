"""What is stopped for a while, as `batch-assets status` shows it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from batch_assets.cli.opening import OpenDatabase
from batch_assets.cli.output import moment
from batch_assets.domain.breakers import Breaker, BreakerState
from batch_assets.domain.livedash_timers import Act
from batch_assets.store.cooldowns import ModelCooldown, SchedulerCooldown
from batch_assets.store.livedash_acts import LiveDashActs

MOST_ACTS: Final = 10
ACTS: Final = 10_000
"""So many acts are read at most."""


@dataclass(frozen=True, slots=True)
class Stoppages:
    """Breakers that are not closed, models in cooldown, and the pause after failed runs."""

    breakers: list[Breaker]
    models: list[ModelCooldown]
    schedule: SchedulerCooldown | None
    """`None`: the schedule starts runs, or is about to try one."""
    acts: list[Act]
    """What LiveDash's own timers were seen to do a short while ago, newest first."""

    def sentences(self) -> Iterable[str]:
        """One for each, with what to do where anything can be done."""
        if self.schedule is not None:
            yield (
                f"Schedule and sensors pause until {moment(self.schedule.until)}: "
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
        for act in self.acts[:MOST_ACTS]:
            yield _of_act(act)
        if len(self.acts) > MOST_ACTS:
            yield f"And {len(self.acts) - MOST_ACTS:,} more of the kind: see --json."

    def document(self) -> dict[str, object]:
        """The same for `--json`."""
        return {
            "breakers": self.breakers,
            "resting_models": self.models,
            "schedule_pause": self.schedule,
            "livedash_acts": self.acts,
        }


def stoppages(database: OpenDatabase) -> Stoppages:
    """What is stopped at this moment."""
    pause = database.cooldowns.scheduler()
    return Stoppages(
        breakers=[one for one in database.breakers.all() if one.state is not BreakerState.CLOSED],
        models=database.cooldowns.models(),
        schedule=pause if pause.is_running else None,
        acts=LiveDashActs(database.engine).recent(
            database.settings.policy().external_quiet_seconds, ACTS
        ),
    )


def _of_act(act: Act) -> str:
    """What a timer has done, and whether it was bought by both."""
    of_company = f" of {act.company or act.company_id}"
    if act.timer == "create" and act.request_id is None:
        return f"LiveDash's create timer has bought batch {act.batch_id}{of_company}."
    did = {
        "create": "has bought",
        "retry": "has bought, live,",
        "process": "has reset",
        "unknown": "has reset",
    }[act.timer]
    who = "Somebody" if act.timer == "unknown" else f"LiveDash's {act.timer} timer"
    twice = ", which was bought here, too" if act.is_double else ""
    back = "" if act.is_purchase else "; it is back where it was"
    return f"{who} {did} request {act.request_id}{of_company}{twice}{back}."


def _lowered(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]
