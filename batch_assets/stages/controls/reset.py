"""What was stopped after failures goes on, and stages of sessions say what is open.

Breakers close, and cooldowns end; a stage that nothing would ever finish is set right.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from sqlalchemy import Engine

from batch_assets.domain.accounts import DEFAULT_ACCOUNT
from batch_assets.domain.breakers import BreakerState
from batch_assets.domain.display import plural
from batch_assets.domain.errors import ConfigurationError
from batch_assets.openai_batch.operations import Operation
from batch_assets.store.breakers import Breakers, Cooldowns
from batch_assets.store.sessions import SESSIONS_AT_A_TIME, SessionStages

ACCOUNT: Final = "account"
"""What is named beside the operations: the account's cooldown."""


@dataclass(frozen=True)
class ResetReport:
    """What goes on; of a dry run what would."""

    dry_run: bool
    operations: list[str]
    """Those whose calls were refused."""
    account: bool
    """Whether the account was in cooldown."""
    schedule: bool
    """Whether the schedule was in cooldown."""

    @property
    def sentences(self) -> list[str]:
        """Sentences, one for each thing that goes on, or would."""
        are, start = ("would be", "would start") if self.dry_run else ("are", "start")
        said = [f"Calls of {operation} {are} made again." for operation in self.operations]
        if self.account:
            said.append(f"Batches {are} submitted again: the account is in cooldown no longer.")
        if self.schedule:
            said.append(f"Schedule and sensors {start} runs again.")
        return said or ["Nothing to do: nothing was stopped."]


def resume(
    engine: Engine,
    names: Sequence[str],
    who: str,
    *,
    dry_run: bool,
    account_names: Sequence[str] = (DEFAULT_ACCOUNT,),
) -> ResetReport:
    """Close the breakers of these operations, and end the account's cooldown if that is named.

    Of each of these accounts.

    Without any named all of it, and the schedule's cooldown as well.

    Raises:
        ConfigurationError: A name is neither an operation nor the account.
    """
    unknown = [name for name in names if name not in {*Operation, ACCOUNT}]
    if unknown:
        raise ConfigurationError(
            f"There is no {', '.join(unknown)} to reset: name {ACCOUNT} or an operation, which are "
            f"{', '.join(sorted(Operation))}."
        )
    breakers = [Breakers(engine, one) for one in account_names]
    cooldowns = [Cooldowns(engine, one) for one in account_names]
    of_schedule = Cooldowns(engine)
    operations = [name for name in names or Operation if name != ACCOUNT]
    is_of_account = not names or ACCOUNT in names
    if dry_run:
        found = [one for of_account in breakers for one in of_account.all()]
        open_ones = {one.operation for one in found if one.state != BreakerState.CLOSED}
        return ResetReport(
            dry_run,
            sorted(open_ones & {*operations}),
            is_of_account and any(one.is_account_cooling() for one in cooldowns),
            not names and of_schedule.scheduler().is_running,
        )
    closed = {one for of_account in breakers if operations for one in of_account.reset(operations)}
    ended = [one.end_account_cooldown() for one in cooldowns] if is_of_account else []
    return ResetReport(
        dry_run, sorted(closed), any(ended), not names and of_schedule.reset_scheduler(who)
    )


@dataclass(frozen=True, slots=True)
class StagesReport:
    """What was set right; of a dry run what would be."""

    dry_run: bool
    orphaned: int
    """Sessions whose stage was IN_PROGRESS while none of their requests was open."""
    unstaged: int
    """Sessions of which a request was open while their stage said something else."""

    @property
    def sentences(self) -> list[str]:
        """Sentences, one for each kind."""
        was = "would be set" if self.dry_run else "was set"
        said = []
        if self.orphaned:
            said.append(
                f"{plural(self.orphaned, 'session')} in progress without an open request: the "
                f"stage {was} to what their requests say, or to PENDING."
            )
        if self.unstaged:
            said.append(
                f"{plural(self.unstaged, 'session')} with an open request and another stage: it "
                f"{was} to IN_PROGRESS."
            )
        return said or ["Nothing to do: each stage says what its session's requests do."]


def correct_stages(engine: Engine, *, dry_run: bool) -> StagesReport:
    """Set the stage AI_ANALYSIS of every session right, a bounded number in each transaction."""
    stages = SessionStages(engine)
    return StagesReport(
        dry_run,
        orphaned=_reset(stages, stages.orphaned(), dry_run=dry_run),
        unstaged=_reset(stages, stages.unstaged(), dry_run=dry_run),
    )


def _reset(stages: SessionStages, session_ids: Iterable[str], *, dry_run: bool) -> int:
    found = 0
    remaining = iter(session_ids)
    while some := list(islice(remaining, SESSIONS_AT_A_TIME)):
        found += len(some)
        if not dry_run:
            stages.reset(some)
    return found
