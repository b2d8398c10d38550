"""What the database knows of runs: in which processes they are, and what their ops hand on.

Each call is one statement. What ops hand on is for metrics, tags and sentences alone. What is sent,
read or deleted is decided by the tables of requests and batches.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from batch_assets.domain.hosts import ProcessName, RunProcess, RunTrace
from batch_assets.store.base import EngineQueries
from batch_assets.store.connection_failures import retry_lost
from batch_assets.store.sql import load

SQL = load(Path(__file__).with_suffix(".sql"))


@dataclass(frozen=True, slots=True)
class Wanted:
    """What others want of a run."""

    is_given_up: bool
    """It counts as dead, and its record is closed."""
    is_to_end: bool
    """A person wants it to end."""


@dataclass(frozen=True)
class RunProcesses(EngineQueries):
    """Keeps when a run's processes were heard of, by the database's clock."""

    @retry_lost
    def beat(self, run_id: str, name: ProcessName) -> Wanted:
        """Say that a process lives and works on a run; what is wanted of that."""
        with self.autocommit.connect() as connection:
            row = connection.execute(SQL["beat"], {"run_id": run_id, **asdict(name)}).one()
        return Wanted(row.is_given_up, row.is_to_end)

    @retry_lost
    def end(self, run_id: str, name: ProcessName) -> None:
        """Say that a process is done with a run."""
        with self.autocommit.connect() as connection:
            connection.execute(SQL["end_process"], {"run_id": run_id, **asdict(name)})

    @retry_lost
    def trace(self, run_id: str) -> RunTrace:
        """Everything that is known of where a run is."""
        with self.autocommit.connect() as connection:
            rows = connection.execute(SQL["trace"], {"run_id": run_id}).all()
        return RunTrace(
            [
                RunProcess(
                    ProcessName(row.host, row.pid, row.started_ticks, row.host_name),
                    row.beat_at,
                    row.silent_seconds,
                    row.has_ended,
                )
                for row in rows
                if row.host
            ],
            is_given_up=any(row.is_given_up for row in rows),
        )

    @retry_lost
    def give_up(self, run_id: str, trace: RunTrace) -> bool:
        """Take a run for dead, unless it was heard of since its trace was read; whether it is."""
        which = {"run_id": run_id, "last_beat_at": trace.last_beat_at}
        with self.autocommit.connect() as connection:
            return connection.execute(SQL["give_up"], which).rowcount == 1

    @retry_lost
    def ask_to_end(self, run_id: str) -> None:
        """Let a run's processes hear with their next beat that they are to end."""
        with self.autocommit.connect() as connection:
            connection.execute(SQL["ask_to_end"], {"run_id": run_id})


class RunStates(EngineQueries):
    """Keeps what an op hands on for a day."""

    @retry_lost
    def keep(self, run_id: str, op: str, state: Mapping[str, Any]) -> None:
        """Keep what an op hands on, in place of what it handed on before."""
        which = {"run_id": run_id, "op": op, "state": json.dumps(state)}
        with self.autocommit.connect() as connection:
            connection.execute(SQL["keep"], which)

    @retry_lost
    def read(self, run_id: str, op: str) -> dict[str, Any] | None:
        """Read what an op has handed on; `None` if it has not, or more than a day ago."""
        with self.autocommit.connect() as connection:
            found = connection.execute(SQL["read"], {"run_id": run_id, "op": op}).scalar()
        return None if found is None else dict(found)
