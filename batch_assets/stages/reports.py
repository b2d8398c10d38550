"""What a stage says of itself, kept by kind while it is at work."""

from typing import TypeVar

T = TypeVar("T")


class Reports:
    """At most one report of each kind, noted before its stage begins to fill it.

    A stage that raises leaves what it had done by then.
    """

    def __init__(self) -> None:
        self._reports: dict[type, object] = {}

    def note(self, report: T) -> T:
        """Keep a report, which goes on to be filled; of two of one kind the later one."""
        self._reports[type(report)] = report
        return report

    def found(self, kind: type[T]) -> T | None:
        """The report of this kind, if there is one."""
        report = self._reports.get(kind)
        return report if isinstance(report, kind) else None

    def take(self, kind: type[T]) -> T | None:
        """The report of this kind, if there is one, for whoever asks first."""
        report = self._reports.pop(kind, None)
        return report if isinstance(report, kind) else None

    def all(self) -> list[object]:
        """Every report, in the order in which they were noted."""
        return list(self._reports.values())

    def clear(self) -> None:
        """Forget all, since another stage begins."""
        self._reports.clear()
