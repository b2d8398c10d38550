"""What was stopped after failures goes on: breakers close, and the schedule's pause ends."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Engine

from batch_assets.domain.breakers import BreakerState
from batch_assets.domain.errors import ConfigurationError
from batch_assets.openai_batch.operations import Operation
from batch_assets.store.breakers import Breakers
from batch_assets.store.pauses import Pauses


@dataclass(frozen=True)
class ResetReport:
    """What goes on; of a dry run what would."""

    dry_run: bool
    operations: list[str]
    """Those whose calls were refused."""
    schedule: bool
    """Whether the schedule rested."""

    @property
    def sentences(self) -> list[str]:
        """One for each thing that goes on, or would."""
        are, start = ("would be", "would start") if self.dry_run else ("are", "start")
        said = [f"Calls of {operation} {are} made again." for operation in self.operations]
        if self.schedule:
            said.append(f"Schedule and sensors {start} runs again.")
        return said or ["Nothing to do: nothing was stopped."]


def reset(engine: Engine, operations: Sequence[str], who: str, *, dry_run: bool) -> ResetReport:
    """Close the breakers of these operations; without any named all, and end the pause as well.

    Raises `ConfigurationError` for an operation that there is not.
    """
    unknown = [name for name in operations if name not in set(Operation)]
    if unknown:
        raise ConfigurationError(
            f"There is no operation {', '.join(unknown)}: the operations are "
            f"{', '.join(sorted(Operation))}."
        )
    breakers, pauses = Breakers(engine), Pauses(engine)
    named = list(operations or Operation)
    if dry_run:
        open_ones = [one.operation for one in breakers.all() if one.state != BreakerState.CLOSED]
        is_paused = not operations and pauses.scheduler().is_running
        return ResetReport(dry_run, [one for one in open_ones if one in named], is_paused)
    closed = breakers.reset(named)
    return ResetReport(dry_run, closed, not operations and pauses.reset_scheduler(who))
