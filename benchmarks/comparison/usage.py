"""What this process uses: time, processor time, calls to the API and memory."""

import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.comparison.api_server import served
from benchmarks.comparison.prepared_api import Served

_STATUS = Path("/proc/self/status")


@dataclass(frozen=True, slots=True)
class Usage:
    """What one process used for a stage."""

    calls: int
    """To the API, repetitions included, as the server has counted them."""
    refused: int
    """Those of them that the server refused, since there were too many at one time."""
    wall_s: float
    cpu_s: float
    """Of all its threads; the database's and the API server's are not in it."""
    server_cpu_s: float
    """Of the API server's process."""
    peak_mb: float
    """The most memory that the process ever had resident, its code included."""


class Meter:
    """Adds up while it runs: what this process takes, and what it asks of the API server.

    Without `base_url` nothing is asked of any.
    """

    def __init__(self, base_url: str | None = None) -> None:
        self._base_url = base_url
        self._served = Served()
        self._wall = self._cpu = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Measure what is done in the context."""
        before = self._ask()
        wall, cpu = time.perf_counter(), time.process_time()
        try:
            yield
        finally:
            self._wall += time.perf_counter() - wall
            self._cpu += time.process_time() - cpu
            self._served = self._served.plus(self._ask(), before)

    def usage(self) -> Usage:
        """What was used up to now."""
        return Usage(
            calls=self._served.calls,
            refused=self._served.refused,
            wall_s=round(self._wall, 3),
            cpu_s=round(self._cpu, 3),
            server_cpu_s=round(self._served.cpu_s, 3),
            peak_mb=round(_peak_mb(), 1),
        )

    def _ask(self) -> Served:
        return Served() if self._base_url is None else served(self._base_url)


def _peak_mb() -> float:
    if not _STATUS.exists():
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
    # Not ru_maxrss: on Linux that also counts what this process was before its program started.
    (line,) = [line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024 / 1e6
