"""What is stopped for a while, as `batch-assets status` shows it."""

from collections.abc import Iterable
from dataclasses import dataclass

from batch_assets.cli.opening import OpenDatabase
from batch_assets.cli.output import moment
from batch_assets.domain.breakers import Breaker, BreakerState
from batch_assets.store.pauses import RestingModel, SchedulerPause


@dataclass(frozen=True, slots=True)
class Stoppages:
    """Breakers that are not closed, models that rest, and the pause after failed runs."""

    breakers: list[Breaker]
    models: list[RestingModel]
    schedule: SchedulerPause | None
    """`None`: the schedule starts runs, or is about to try one."""

    def sentences(self) -> Iterable[str]:
        """One for each, with what to do where anything can be done."""
        if self.schedule is not None:
            yield (
                f"Schedule and sensors rest until {moment(self.schedule.until)}: "
                f"{_lowered(self.schedule.reason)}. `batch-assets reset` ends it."
            )
        for breaker in self.breakers:
            if breaker.seconds_left or breaker.state is BreakerState.HALF_OPEN:
                yield f"No {breaker.operation}: {breaker.refusal}."
            else:
                yield f"The next {breaker.operation} is on trial: {breaker.history}."
        for model in self.models:
            yield f"{model.model} rests until {moment(model.until)}: {model.reason}."

    def document(self) -> dict[str, object]:
        """The same for `--json`."""
        return {
            "breakers": self.breakers,
            "resting_models": self.models,
            "schedule_pause": self.schedule,
        }


def stoppages(database: OpenDatabase) -> Stoppages:
    """What is stopped at this moment."""
    pause = database.pauses.scheduler()
    return Stoppages(
        breakers=[one for one in database.breakers.all() if one.state is not BreakerState.CLOSED],
        models=database.pauses.resting_models(),
        schedule=pause if pause.is_running else None,
    )


def _lowered(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]
