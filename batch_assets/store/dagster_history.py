"""What Dagster has kept of its runs, ticks and daemon, read from its own tables.

To open Dagster's instance takes seconds, and closes the records of runs that are dead: who only
looks asks its tables, whose shape the pinned version of Dagster gives. Each is one statement, on an
engine that leads to the database of DAGSTER_DATABASE_URL.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from batch_assets.store.base import EngineQueries
from batch_assets.store.connection_failures import retry_lost
from batch_assets.store.sql import load

SQL = load(Path(__file__).with_suffix(".sql"))

TICKING: Final = {
    "SCHEDULER": "schedules",
    "SENSOR": "sensors",
    "QUEUED_RUN_COORDINATOR": "queue of runs",
}
"""The parts of Dagster's daemon without which nothing starts by itself, and what each does."""
SILENT_SECONDS: Final = 300.0
"""A part of the daemon says every 30 s that it lives; one that was silent for so long does not."""


@dataclass(frozen=True, slots=True)
class DaemonPart:
    """A part of Dagster's daemon that was heard of once."""

    part: str
    """Dagster's word, such as `SCHEDULER`."""
    silent_seconds: float
    errors: int
    """How many it had when it was last heard of."""

    @property
    def lives(self) -> bool:
        """Whether it was heard of lately."""
        return self.silent_seconds <= SILENT_SECONDS


@dataclass(frozen=True, slots=True)
class KeptRun:
    """A run as Dagster keeps it."""

    run_id: str
    job: str
    status: str
    """Dagster's word, such as `SUCCESS`."""
    began_at: datetime
    """When it began, or was made if nobody has begun it."""
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class KeptRecord:
    """A record of a run's log."""

    at: datetime
    level: int
    """As in the module `logging`."""
    op: str
    """Empty for what the run itself says."""
    said: str


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs are meant: those to which all that is given applies."""

    run_ids: Sequence[str] | None = None
    jobs: Sequence[str] | None = None
    statuses: Sequence[str] | None = None
    since: datetime | None = None


class DagsterHistory(EngineQueries):
    """Reads what Dagster has kept, and changes nothing."""

    @retry_lost
    def is_there(self) -> bool:
        """Whether Dagster has made its tables."""
        with self.autocommit.connect() as connection:
            return bool(connection.execute(SQL["is_there"]).scalar_one())

    @retry_lost
    def daemons(self) -> list[DaemonPart]:
        """The parts of the daemon that were ever heard of, by name."""
        with self.autocommit.connect() as connection:
            return [DaemonPart(**row._mapping) for row in connection.execute(SQL["daemons"])]

    @retry_lost
    def switched_off(self) -> list[str]:
        """The schedules and sensors that somebody has switched off, by name."""
        with self.autocommit.connect() as connection:
            return list(connection.execute(SQL["switched_off"]).scalars())

    @retry_lost
    def last_ticks(self) -> dict[str, float]:
        """The seconds since a `SCHEDULE`, and since a `SENSOR`, was evaluated, where one was."""
        with self.autocommit.connect() as connection:
            return {row.type: row.seconds for row in connection.execute(SQL["last_ticks"])}

    @retry_lost
    def runs(self, which: RunFilter, limit: int) -> list[KeptRun]:
        """At most so many runs, the newest first."""
        parameters = {
            "run_ids": None if which.run_ids is None else list(which.run_ids),
            "jobs": None if which.jobs is None else list(which.jobs),
            "statuses": None if which.statuses is None else list(which.statuses),
            "since": which.since,
            "limit": limit,
        }
        with self.autocommit.connect() as connection:
            return [KeptRun(**row._mapping) for row in connection.execute(SQL["runs"], parameters)]

    @retry_lost
    def runs_called(self, beginning: str) -> list[str]:
        """The ids that begin so; at most two, since one is wanted."""
        with self.autocommit.connect() as connection:
            found = connection.execute(SQL["runs_called"], {"beginning": beginning})
            return list(found.scalars())

    @retry_lost
    def failures(self, run_ids: Sequence[str]) -> list[tuple[str, str]]:
        """What runs and their ops have failed with: the run's id, and the event as Dagster packs
        it, in their order."""
        with self.autocommit.connect() as connection:
            rows = connection.execute(SQL["failures"], {"run_ids": list(run_ids)})
            return [(row.run_id, row.event) for row in rows]

    @retry_lost
    def log(self, run_id: str, level: int) -> list[KeptRecord]:
        """The records of a run's log from a level on, in their order."""
        with self.autocommit.connect() as connection:
            rows = connection.execute(SQL["log"], {"run_id": run_id, "level": level})
            return [KeptRecord(**row._mapping) for row in rows]
