"""The processes in which a run is, and when one of them counts as gone."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

BEAT_SECONDS: Final = 10.0
"""How often a run's process says that it lives; a run that is over sooner never does."""
SILENT_SECONDS: Final = 45.0
"""A process that has not said so for this long counts as gone, if nobody can look for it."""
HUNG_SECONDS: Final = 90.0
"""A process that is there and has not said so for this long does not go on: it counts as gone."""
UNHEARD_SECONDS: Final = 75.0
"""How long a run may take until its process is heard of for the first time."""
WATCHED_TAG: Final = ".dagster/batch_assets_watched"
"""The tag of runs that have a heartbeat; the UI hides it."""


@dataclass(frozen=True, slots=True)
class ProcessName:
    """A process, among all of all hosts and of all times."""

    host: str
    """Names the processes that see each other's ids: a host since its boot, or a container."""
    pid: int
    started_ticks: int
    """By the host's own clock: tells it from a later process with the same id."""
    host_name: str
    """The host as people call it."""


@dataclass(frozen=True, slots=True)
class RunProcess:
    """A process in which a run is or was, as the database knows it."""

    name: ProcessName
    beat_at: datetime
    silent_seconds: float
    """Since it was last heard of, or since the database could hear anybody."""
    has_ended: bool
    """It has said that it is done with the run, which may go on in others."""


@dataclass(frozen=True, slots=True)
class RunTrace:
    """Everything that the database knows of where a run is."""

    processes: Sequence[RunProcess] = ()
    is_given_up: bool = False

    @property
    def last_beat_at(self) -> datetime | None:
        """When any of its processes was last heard of."""
        return max((process.beat_at for process in self.processes), default=None)


def is_gone(process: RunProcess, lives: bool | None) -> bool:
    """Whether a process works on its run no more; `lives` is what its host says, `None` if nothing.

    One that has ended may be followed by another one of the same run: it is silent first.
    """
    if process.has_ended or lives is None:
        return process.silent_seconds > SILENT_SECONDS
    return not lives or process.silent_seconds > HUNG_SECONDS
