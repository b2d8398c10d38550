"""What this process uses: time, processor time, calls to the API and memory."""

import logging
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_STATUS = Path("/proc/self/status")


@dataclass(frozen=True, slots=True)
class Usage:
    """What one process used for a stage."""

    calls: int
    wall_s: float
    cpu_s: float
    """Of all its threads; the database's and the API server's are not in it."""
    peak_mb: float
    """The most memory that the process ever had resident, its code included."""


class Meter(logging.Handler):
    """Adds up while it runs. The HTTP library logs each call it makes, repetitions included."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._is_running = False
        self._calls = 0
        self._wall = self._cpu = 0.0
        logger = logging.getLogger("httpx2")
        logger.setLevel(logging.INFO)
        logger.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Count one call."""
        self._calls += self._is_running and record.levelno == logging.INFO

    @contextmanager
    def running(self) -> Iterator[None]:
        """Measure what is done in the context."""
        wall, cpu = time.perf_counter(), time.process_time()
        self._is_running = True
        try:
            yield
        finally:
            self._is_running = False
            self._wall += time.perf_counter() - wall
            self._cpu += time.process_time() - cpu

    def usage(self) -> Usage:
        """What was used up to now."""
        return Usage(
            calls=self._calls,
            wall_s=round(self._wall, 3),
            cpu_s=round(self._cpu, 3),
            peak_mb=round(_peak_mb(), 1),
        )


def _peak_mb() -> float:
    if not _STATUS.exists():
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
    # Not ru_maxrss: on Linux that also counts what this process was before its program started.
    (line,) = [line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024 / 1e6
