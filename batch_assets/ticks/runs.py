"""What Dagster knows of a job's runs: which one is under way, and how the last ones ended."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

import dagster as dg

from batch_assets.domain.hosts import UNHEARD_SECONDS
from batch_assets.resources.run_launcher import IN_PROCESS, RunWatch

ACTIVE: Final = [dg.DagsterRunStatus.QUEUED, *IN_PROCESS]
"""The statuses of runs that are still under way, or will be."""

_OLD: Final = timedelta(seconds=UNHEARD_SECONDS)
_DECIDED: Final = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]
"""A run that a person has cancelled says nothing about the next one."""


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
        which = dg.RunsFilter(job_name=self.job_name, statuses=statuses)
        return self.instance.get_run_records(which, limit=limit)


def _not_ahead(kept: datetime) -> datetime:
    """A moment that Dagster keeps without a zone; before our sessions were in UTC, in local time.

    What lies in the future by that began no later than now.
    """
    return min(kept, datetime.now(UTC))


def clock_time(moment: datetime) -> str:
    """A moment as people read it in the reason of a tick."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
