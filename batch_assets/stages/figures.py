"""What the stages of one run have done, kept in the process until the run's end is recorded."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

STAGES: Final = ("check", "ingest", "retry", "load", "fetch", "submit")
"""The stages whose seconds are kept, in their order."""

T = TypeVar("T")


class RunFigures:
    """The stages' reports, each noted before its stage begins to fill it, and what each stage took.

    A stage that raises leaves what it had done by then. The figures are those of one process: where
    an executor gave each op a process of its own, none of them would be here at the end.
    """

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._reports: dict[type, object] = {}
        self._seconds = dict.fromkeys(STAGES, 0.0)

    def note(self, report: T) -> T:
        """Keep a report, which goes on to be filled; of two of one kind the later one."""
        self._reports[type(report)] = report
        return report

    def of(self, kind: type[T]) -> T:
        """The report of this kind, or an empty one if its stage did not come to it."""
        return self.found(kind) or kind()

    def found(self, kind: type[T]) -> T | None:
        """The report of this kind, if there is one."""
        report = self._reports.get(kind)
        return report if isinstance(report, kind) else None

    def take(self, kind: type[T]) -> T | None:
        """The report of this kind, if there is one, for whoever asks first."""
        report = self._reports.pop(kind, None)
        return report if isinstance(report, kind) else None

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Measure a stage; one that raises has taken its time, too."""
        began = time.monotonic()
        try:
            yield
        finally:
            self._seconds[stage] += time.monotonic() - began

    @property
    def stage_seconds(self) -> dict[str, float]:
        """What each stage has taken; all of them are there, zeros too."""
        return dict(self._seconds)

    @property
    def run_seconds(self) -> float:
        """How long ago the run began, in this process."""
        return time.monotonic() - self._began
