"""Stages of sessions that nothing will ever finish, or that say less than what is open."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from sqlalchemy import Engine

from batch_assets.domain.wording import plural
from batch_assets.store.session_stages import SESSIONS_AT_A_TIME, SessionStages


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
        """One for each kind."""
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


def reset_stages(engine: Engine, *, dry_run: bool) -> StagesReport:
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
