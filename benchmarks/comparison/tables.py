"""The figures as tables: one for each size, the ratios under each pair, and the floor."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.comparison.measurements import Measurement
from benchmarks.comparison.peer_environment import PEER
from benchmarks.comparison.sizes import Size

FLOOR_STAGES: Final = ("floor_create", "floor_ingest")
"""What the floor does, which together is what `total` does."""
WITH_THE_REST: Final = (*FLOOR_STAGES, "floor_rest")
"""The same with all else that `total` leaves in LiveDash's tables."""

_HEADINGS: Final = (
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
_SHAPES: Final = (
    "companies x requests",
    "statements",
    "calls",
    "wall s",
    "ms a request",
    "CPU ms a request",
    "peak MB",
    "floor s",
)
_TIMES_FLOOR: Final = "times the floor"
_TIMES_ALL: Final = "times the floor and the rest"


@dataclass(frozen=True, slots=True)
class Table:
    """A heading, a table in words, and a sentence on it if there is one to say."""

    title: str
    headings: Sequence[str]
    lines: Sequence[Sequence[str]]
    words: int
    """How many columns hold words; those after them hold numbers."""
    note: str = ""


def tables(
    measured: Sequence[Measurement], not_measured: Mapping[Size, str] | None = None
) -> list[Table]:
    """One table for each size, in the order in which they were measured.

    `not_measured` says of sizes why the peer, which was asked for, is not among what was measured.
    """
    why_not = not_measured or {}
    sizes = dict.fromkeys(measurement.size for measurement in measured)
    return [
        _table(size, [one for one in measured if one.size == size], why_not.get(size))
        for size in sizes
    ]


def shapes(measured: Sequence[Measurement]) -> Table | None:
    """What a request takes of the optimized implementation at each size with the API at hand.

    `None` if that is less than two.
    """
    of = {(one.size, one.stage, one.implementation): one for one in measured}
    lines = []
    for size in dict.fromkeys(one.size for one in measured if one.size == one.size.of_database()):
        total = of.get((size, "total", "optimized"))
        floors = [of[key] for stage in FLOOR_STAGES if (key := (size, stage, "floor")) in of]
        if total is not None and len(floors) == len(FLOOR_STAGES):
            lines.append(_shape(total, sum(one.usage.wall_s for one in floors)))
    return Table("Whatever the shape", _SHAPES, lines, words=1) if len(lines) > 1 else None


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


def _table(size: Size, measured: Sequence[Measurement], why_no_peer: str | None) -> Table:
    runs = {one.implementation: one.runs for one in measured}
    counted = ", ".join(f"{name} {number}" for name, number in runs.items())
    note = f"Runs: {counted}." if max(runs.values()) > 1 else ""
    lines = list(_lines(measured))
    if why_no_peer is not None:
        lines.append(("total", f"{PEER}: not measured", *[""] * (len(_HEADINGS) - 2)))
        note = f"{note} {why_no_peer}".strip()
    return Table(str(size), _HEADINGS, lines, words=2, note=note)


def _lines(measured: Sequence[Measurement]) -> Iterator[Sequence[str]]:
    of = {(one.stage, one.implementation): one for one in measured}
    for stage in dict.fromkeys(one.stage for one in measured):
        for one in measured:
            if one.stage == stage:
                yield _line(one)
        optimized = of.get((stage, "optimized"))
        for name in ("original", PEER):
            other = of.get((stage, name))
            if other is not None and optimized is not None:
                ratios = map(_ratio, figures(other), figures(optimized))
                yield (stage, f"{name} / optimized", *ratios)
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
    pairs = (
        ("create", _TIMES_FLOOR, FLOOR_STAGES[:1]),
        ("ingest", _TIMES_FLOOR, FLOOR_STAGES[1:]),
        ("ingest", _TIMES_ALL, WITH_THE_REST[1:]),
        ("total", _TIMES_FLOOR, FLOOR_STAGES),
        ("total", _TIMES_ALL, WITH_THE_REST),
    )
    for stage, times, floors in pairs:
        optimized = of.get((stage, "optimized"))
        below = [of[floor, "floor"] for floor in floors if (floor, "floor") in of]
        if optimized is None or len(below) != len(floors):
            continue
        wall = _ratio(optimized.usage.wall_s, sum(one.usage.wall_s for one in below))
        cpu = _ratio(optimized.usage.cpu_s, sum(one.usage.cpu_s for one in below))
        postgres = _ratio(
            optimized.counted.postgres_cpu_s, sum(one.counted.postgres_cpu_s for one in below)
        )
        yield (stage, times, "", "", "", wall, cpu, postgres, "", "", "", "")


def _shape(total: Measurement, floor_s: float) -> Sequence[str]:
    size, usage = total.size, total.usage
    return (
        f"{size.companies:,} x {size.requests:,}",
        f"{total.counted.statements:,}",
        f"{usage.calls:,}",
        f"{usage.wall_s:.2f}",
        f"{1_000 * usage.wall_s / size.waiting:.2f}",
        f"{1_000 * usage.cpu_s / size.waiting:.2f}",
        f"{usage.peak_mb:,.0f}",
        f"{floor_s:.2f}",
    )
