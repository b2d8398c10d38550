"""The bars: what a run of the documented sizes is held against, and this run's figures."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.comparison.measurements import Measurement
from benchmarks.comparison.peer_environment import PEER
from benchmarks.comparison.scenarios import (
    FAR,
    FAR_AND_NARROW,
    FEW_COMPANIES,
    MANY_COMPANIES,
    NARROW,
)
from benchmarks.comparison.sizes import Size
from benchmarks.comparison.tables import FLOOR_STAGES, Table

Found = Mapping[tuple[Size, str, str], Measurement]
"""What was measured, by size, stage and implementation."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A figure of the optimized implementation, and what it may be."""

    size: Size
    what: str
    limit: float
    figure: Callable[[Measurement], float]
    stage: str = "total"
    beside: Sequence[tuple[str, str]] = ()
    """Stages and implementations whose figures, added up, the figure is divided by."""
    at_least: bool = False
    """Whether it is the others' figure that is divided, and the limit the least that it may be."""
    unit: str = " x"
    digits: int = 2

    def value(self, found: Found) -> float | None:
        """The figure of this run; `None` if something that it is made of was not measured."""
        ours = found.get((self.size, self.stage, "optimized"))
        others = [found.get((self.size, *key)) for key in self.beside]
        beside = [self.figure(one) for one in others if one is not None]
        if ours is None or len(beside) < len(others):
            return None
        if not beside:
            return self.figure(ours)
        times = self.figure(ours) / sum(beside)
        return 1 / times if self.at_least else times

    def holds(self, value: float) -> bool:
        """Whether the figure is within the bar."""
        return value >= self.limit if self.at_least else value <= self.limit


def _wall(one: Measurement) -> float:
    return one.usage.wall_s


def _cpu(one: Measurement) -> float:
    return one.usage.cpu_s


def _postgres_cpu(one: Measurement) -> float:
    return one.counted.postgres_cpu_s


def _statements(one: Measurement) -> float:
    return one.counted.statements


def _peak(one: Measurement) -> float:
    return one.usage.peak_mb


def _refused(one: Measurement) -> float:
    return 100 * one.usage.refused / one.usage.calls


_FLOOR: Final = tuple((stage, "floor") for stage in FLOOR_STAGES)
_PEER: Final = (("total", PEER),)
BARS: Final = (
    Bar(MANY_COMPANIES, "wall, times the floor's", 2.1, _wall, beside=_FLOOR),
    Bar(
        MANY_COMPANIES,
        "wall of ingest, times the floor's",
        1.7,
        _wall,
        stage="ingest",
        beside=_FLOOR[1:],
    ),
    Bar(MANY_COMPANIES, "client CPU", 4.0, _cpu, unit=" s"),
    Bar(MANY_COMPANIES, "PostgreSQL's CPU, times the floor's", 1.8, _postgres_cpu, beside=_FLOOR),
    Bar(MANY_COMPANIES, "statements", 170, _statements, unit="", digits=0),
    Bar(MANY_COMPANIES, "peak memory", 150, _peak, unit=" MB"),
    Bar(FEW_COMPANIES, f"{PEER}'s wall, times ours", 2.0, _wall, beside=_PEER, at_least=True),
    Bar(FEW_COMPANIES, f"{PEER}'s client CPU, times ours", 3.0, _cpu, beside=_PEER, at_least=True),
    Bar(FAR, "wall", 25.0, _wall, unit=" s"),
    Bar(NARROW, "calls refused", 2.0, _refused, unit=" %"),
    Bar(FAR_AND_NARROW, "calls refused", 2.0, _refused, unit=" %"),
)


def bars(measured: Sequence[Measurement]) -> Table | None:
    """The bars of the sizes that were measured, each with this run's figure; `None`: of none."""
    found = {(one.size, one.stage, one.implementation): one for one in measured}
    sizes = {one.size for one in measured}
    lines = [_line(bar, bar.value(found)) for bar in BARS if bar.size in sizes]
    headings = ("at", "figure", "bar", "this run", "within")
    return Table("Bars", headings, lines, words=2) if lines else None


def _line(bar: Bar, value: float | None) -> Sequence[str]:
    size = bar.size
    far = f", {size.delay:g} s a call" if size.delay else ""
    narrow = "" if size.at_a_time is None else f", {size.at_a_time} calls at a time"
    which = "at least" if bar.at_least else "at most"
    shown = (
        ("not measured", "")
        if value is None
        else (
            f"{value:,.{bar.digits}f}{bar.unit}",
            "yes" if bar.holds(value) else "no",
        )
    )
    return (
        f"{size.companies:,} x {size.requests:,}{far}{narrow}",
        bar.what,
        f"{which} {bar.limit:,g}{bar.unit}",
        *shown,
    )
