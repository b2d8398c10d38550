"""Each bar shows the figure of the run, and whether it holds follows from that."""

import pytest

from benchmarks.comparison.bars import BARS, bars
from benchmarks.comparison.databases import Counted
from benchmarks.comparison.measurements import Measurement
from benchmarks.comparison.scenarios import (
    DOCUMENTED,
    FAR,
    FAR_AND_NARROW,
    FEW_COMPANIES,
    MANY_COMPANIES,
    NARROW,
)
from benchmarks.comparison.sizes import Size
from benchmarks.comparison.usage import Usage


def measured(
    size: Size,
    stage: str,
    implementation: str,
    *,
    wall: float = 1.0,
    cpu: float = 1.0,
    postgres: float = 1.0,
    statements: int = 100,
    refused: int = 0,
    peak: float = 120.0,
) -> Measurement:
    return Measurement(
        stage,
        implementation,
        size,
        Counted(statements=statements, rows=1, bytes=1, postgres_cpu_s=postgres),
        Usage(
            calls=2_505,
            refused=refused,
            wall_s=wall,
            cpu_s=cpu,
            server_cpu_s=0.1,
            peak_mb=peak,
        ),
    )


def everything() -> list[Measurement]:
    return [
        measured(
            MANY_COMPANIES, "total", "optimized", wall=8, cpu=4.01, postgres=3.6, statements=171
        ),
        measured(MANY_COMPANIES, "ingest", "optimized", wall=5),
        measured(MANY_COMPANIES, "total", "original", wall=99, cpu=99, postgres=99),
        measured(MANY_COMPANIES, "floor_create", "floor", wall=1.5, postgres=0.5),
        measured(MANY_COMPANIES, "floor_ingest", "floor", wall=2.5, postgres=1.5),
        measured(FEW_COMPANIES, "total", "optimized", wall=6, cpu=3),
        measured(FEW_COMPANIES, "total", "batchor", wall=12, cpu=8.7),
        measured(FAR, "total", "optimized", wall=24.96),
        measured(NARROW, "total", "optimized", refused=50),
        measured(FAR_AND_NARROW, "total", "optimized", refused=51),
    ]


def shown(run: list[Measurement]) -> list[tuple[str, str, str]]:
    table = bars(run)
    assert table is not None
    return [(bar, figure, within) for _, _, bar, figure, within in table.lines]


def test_each_bar_shows_the_figure_of_this_run() -> None:
    assert shown(everything()) == [
        ("at most 2.1 x", "2.00 x", "yes"),
        ("at most 1.7 x", "2.00 x", "no"),
        ("at most 4 s", "4.01 s", "no"),
        ("at most 1.8 x", "1.80 x", "yes"),
        ("at most 170", "171", "no"),
        ("at most 150 MB", "120.00 MB", "yes"),
        ("at least 2 x", "2.00 x", "yes"),
        ("at least 3 x", "2.90 x", "no"),
        ("at most 25 s", "24.96 s", "yes"),
        ("at most 2 %", "2.00 %", "yes"),
        ("at most 2 %", "2.04 %", "no"),
    ]


@pytest.mark.parametrize("gone", ["floor", "batchor"])
def test_what_was_not_measured_is_said_not_to_be(gone: str) -> None:
    run = everything()
    without = shown([one for one in run if one.implementation != gone])
    for bar, before, after in zip(BARS, shown(run), without, strict=True):
        is_missing = gone in {implementation for _, implementation in bar.beside}
        expected = (before[0], "not measured", "") if is_missing else before
        assert after == expected


def test_other_sizes_have_no_bars() -> None:
    other = Size(companies=3, requests=40, messages=12, history=0)
    assert bars([measured(other, "total", "optimized")]) is None
    table = bars([measured(other, "total", "optimized"), measured(FAR, "total", "optimized")])
    assert table is not None
    assert [line[0] for line in table.lines] == ["500 x 40, 0.3 s a call, 100 calls at a time"]


def test_the_document_measures_what_has_a_bar() -> None:
    measured_at = {scenario.size: scenario for scenario in DOCUMENTED}
    for bar in BARS:
        scenario = measured_at[bar.size]
        assert {"optimized", *(name for _, name in bar.beside)} <= scenario.runs.keys()
        assert bar.stage == "total" or not scenario.only_total
