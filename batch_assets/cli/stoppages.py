"""What is stopped for a while, as `batch-assets status` shows it."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from batch_assets.cli.opening import OpenDatabase
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
                f"Schedule and sensors rest until {_moment(self.schedule.until)}: "
                f"{_lowered(self.schedule.reason)}. `batch-assets reset` ends it."
            )
        for breaker in self.breakers:
            if breaker.seconds_left or breaker.state is BreakerState.HALF_OPEN:
                yield f"No {breaker.operation}: {breaker.refusal}."
            else:
                yield f"The next {breaker.operation} is on trial: {breaker.history}."
        for model in self.models:
            yield f"{model.model} rests until {_moment(model.until)}: {model.reason}."

    def document(self) -> dict[str, object]:
        """The same for `--json`; moments as ISO 8601."""
        return {
            "breakers": [_plain(asdict(breaker)) for breaker in self.breakers],
            "resting_models": [_plain(asdict(model)) for model in self.models],
            "schedule_pause": None if self.schedule is None else _plain(asdict(self.schedule)),
        }


def stoppages(database: OpenDatabase) -> Stoppages:
    """What is stopped at this moment."""
    pause = database.pauses.scheduler()
    return Stoppages(
        breakers=[one for one in database.breakers.all() if one.state is not BreakerState.CLOSED],
        models=database.pauses.resting_models(),
        schedule=pause if pause.is_running else None,
    )


def _moment(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _lowered(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]


def _plain(values: dict[str, object]) -> dict[str, object]:
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in values.items()
    }
