"""The figures as tables: one for each size, the ratios under each pair, and the floor."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.comparison.measurements import Measurement
from benchmarks.comparison.sizes import Size

HEADINGS = (
    "stage",
    "implementation",
    "statements",
    "rows",
    "calls",
    "wall s",
    "CPU s",
    "PG CPU s",
    "API CPU s",
    "at once",
    "peak MB",
    "buffers MB",
)
WORDS = 2
"""How many columns hold words; the others hold numbers."""
_TIMES_FLOOR = "times the floor"
_RATIO = "original / optimized"


@dataclass(frozen=True, slots=True)
class Table:
    """What was measured at one size, in words."""

    size: Size
    lines: Sequence[Sequence[str]]


def tables(measured: Sequence[Measurement]) -> list[Table]:
    """One table for each size, in the order in which they were measured."""
    sizes = dict.fromkeys(measurement.size for measurement in measured)
    return [
        Table(size, list(_lines([one for one in measured if one.size == size]))) for size in sizes
    ]


def figures(measurement: Measurement) -> tuple[float, ...]:
    """What is compared, in the order of the headings."""
    return (
        measurement.counted.statements,
        measurement.counted.rows,
        measurement.usage.calls,
        measurement.usage.wall_s,
        measurement.usage.cpu_s,
        measurement.counted.postgres_cpu_s,
        measurement.usage.server_cpu_s,
        measurement.at_once,
        measurement.usage.peak_mb,
        measurement.counted.bytes / 1e6,
    )


def _lines(measured: Sequence[Measurement]) -> Iterator[Sequence[str]]:
    of = {(one.stage, one.implementation): one for one in measured}
    for stage in dict.fromkeys(one.stage for one in measured):
        for one in measured:
            if one.stage == stage:
                yield _line(one)
        original, optimized = of.get((stage, "original")), of.get((stage, "optimized"))
        if original is not None and optimized is not None:
            yield (stage, _RATIO, *map(_ratio, figures(original), figures(optimized)))
    yield from _floor_lines(of)


def _line(measurement: Measurement) -> Sequence[str]:
    statements, rows, calls, wall, cpu, postgres, server, at_once, peak, buffers = figures(
        measurement
    )
    return (
        measurement.stage,
        measurement.implementation,
        *(f"{count:,}" for count in (statements, rows, calls)),
        f"{wall:,.2f}",
        f"{cpu:,.2f}",
        f"{postgres:,.2f}",
        f"{server:,.2f}",
        f"{at_once:.2f}",
        f"{peak:,.0f}",
        f"{buffers:,.1f}",
    )


def _ratio(over: float, under: float) -> str:
    return f"{over / under:,.1f} x" if under else ""


def _floor_lines(of: dict[tuple[str, str], Measurement]) -> Iterator[Sequence[str]]:
    """How many times the floor's time optimized takes: wall and CPU, of like and like."""
    pairs = {
        "create": ("floor_create",),
        "ingest": ("floor_ingest",),
        "total": ("floor_create", "floor_ingest"),
    }
    for stage, floors in pairs.items():
        optimized = of.get((stage, "optimized"))
        below = [of[floor, "floor"] for floor in floors if (floor, "floor") in of]
        if optimized is None or len(below) != len(floors):
            continue
        wall = _ratio(optimized.usage.wall_s, sum(one.usage.wall_s for one in below))
        cpu = _ratio(optimized.usage.cpu_s, sum(one.usage.cpu_s for one in below))
        postgres = _ratio(
            optimized.counted.postgres_cpu_s, sum(one.counted.postgres_cpu_s for one in below)
        )
        yield (stage, _TIMES_FLOOR, "", "", "", wall, cpu, postgres, "", "", "", "")
