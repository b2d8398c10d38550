"""What was stopped after failures goes on: breakers close, and rests end."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Engine

from batch_assets.domain.breakers import BreakerState
from batch_assets.domain.errors import ConfigurationError
from batch_assets.openai_batch.operations import Operation
from batch_assets.store.breakers import Breakers
from batch_assets.store.pauses import Pauses

ACCOUNT: Final = "account"
"""What is named beside the operations: the account's rest."""


@dataclass(frozen=True)
class ResetReport:
    """What goes on; of a dry run what would."""

    dry_run: bool
    operations: list[str]
    """Those whose calls were refused."""
    account: bool
    """Whether the account rested."""
    schedule: bool
    """Whether the schedule rested."""

    @property
    def sentences(self) -> list[str]:
        """One for each thing that goes on, or would."""
        are, start = ("would be", "would start") if self.dry_run else ("are", "start")
        said = [f"Calls of {operation} {are} made again." for operation in self.operations]
        if self.account:
            said.append(f"Batches {are} submitted again: the account rests no longer.")
        if self.schedule:
            said.append(f"Schedule and sensors {start} runs again.")
        return said or ["Nothing to do: nothing was stopped."]


def reset(engine: Engine, names: Sequence[str], who: str, *, dry_run: bool) -> ResetReport:
    """Close the breakers of these operations, and end the account's rest if that is named.

    Without any named all of it, and the schedule's pause as well. Raises `ConfigurationError` for a
    name that there is not.
    """
    unknown = [name for name in names if name not in {*Operation, ACCOUNT}]
    if unknown:
        raise ConfigurationError(
            f"There is no {', '.join(unknown)} to reset: name {ACCOUNT} or an operation, which are "
            f"{', '.join(sorted(Operation))}."
        )
    breakers, pauses = Breakers(engine), Pauses(engine)
    operations = [name for name in names or Operation if name != ACCOUNT]
    is_of_account = not names or ACCOUNT in names
    if dry_run:
        open_ones = [one.operation for one in breakers.all() if one.state != BreakerState.CLOSED]
        return ResetReport(
            dry_run,
            [one for one in open_ones if one in operations],
            is_of_account and pauses.is_account_resting(),
            not names and pauses.scheduler().is_running,
        )
    return ResetReport(
        dry_run,
        breakers.reset(operations) if operations else [],
        is_of_account and pauses.end_account_rest(),
        not names and pauses.reset_scheduler(who),
    )
