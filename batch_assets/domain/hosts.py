"""What is known of a host and of the processes in which runs are, there and elsewhere.

That a host is this machine; what it has run out of, in a sentence; when a process counts as gone.
"""

import errno
import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

_LATER: Final = "Nothing is lost, and the next run goes on."
_NO_DESCRIPTORS: Final = (
    "This process may open no more files and connections: raise its limit (`ulimit -n`), or set "
    f"MAX_CONCURRENT_COMPANIES, or lower it. {_LATER}"
)
_NO_MEMORY: Final = (
    "This process has no memory left: give it more, or let it do less at a time "
    f"(set or lower MAX_CONCURRENT_COMPANIES, lower BATCH_MAX_REQUESTS). {_LATER}"
)
_NO_ROOM: Final = (
    "A disk of this host has no room left: make room where BATCH_SPOOL_DIR, DAGSTER_HOME and the "
    f"temporary files are. {_LATER}"
)
_NO_CHANGES: Final = (
    "A disk of this host takes no changes: make BATCH_SPOOL_DIR, DAGSTER_HOME and the place of "
    f"temporary files such that they may be written. {_LATER}"
)
_BY_NUMBER: Final = {
    errno.EMFILE: _NO_DESCRIPTORS,
    errno.ENFILE: _NO_DESCRIPTORS,
    errno.ENOMEM: _NO_MEMORY,
    errno.ENOSPC: _NO_ROOM,
    errno.EDQUOT: _NO_ROOM,
    errno.EFBIG: _NO_ROOM,
    errno.EROFS: _NO_CHANGES,
}
# libpq says why it has no connection in words alone.
_BY_WORDS: Final = {"Too many open files": _NO_DESCRIPTORS, "out of memory": _NO_MEMORY}
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


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, by its name or its address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def run_out(error: BaseException) -> str | None:
    """Say what this host has run out of; `None` if an error does not come from that."""
    for cause in _causes(error):
        if isinstance(cause, MemoryError):
            return _NO_MEMORY
        if isinstance(cause, OSError) and cause.errno in _BY_NUMBER:
            return _BY_NUMBER[cause.errno]
    return None


def run_out_by_words(said: str) -> str | None:
    """Say the same of what libpq says of a connection that it could not make."""
    return next((meant for words, meant in _BY_WORDS.items() if words in said), None)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


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
