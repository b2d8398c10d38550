"""How figures are shown, kept and compared with each other."""

import json
import re
from pathlib import Path

import pytest

from batch_assets.domain.errors import BatchAssetsError
from benchmarks.comparison import command
from benchmarks.comparison.databases import Counted
from benchmarks.comparison.document import DOCUMENT, markdown, write_document
from benchmarks.comparison.measurements import RESULTS, Measurement, write_results
from benchmarks.comparison.sizes import Size
from benchmarks.comparison.tables import Table, tables
from benchmarks.comparison.usage import Usage

SMALL = Size(companies=5, requests=40, messages=12, history=1_000)
LARGE = Size(companies=500, requests=40, messages=12, history=200_000)


def measurement(
    stage: str, implementation: str, size: Size = SMALL, *, statements: int = 10, wall: float = 1.0
) -> Measurement:
    return Measurement(
        stage=stage,
        implementation=implementation,
        size=size,
        counted=Counted(statements=statements, rows=2_000, bytes=8_192_000, postgres_cpu_s=0.4),
        usage=Usage(calls=0, refused=0, wall_s=wall, cpu_s=0.5, server_cpu_s=0.1, peak_mb=91.3),
    )


def lines(table: Table) -> list[str]:
    return [" ".join(cell for cell in line if cell) for line in table.lines]


def test_each_pair_is_compared() -> None:
    (table,) = tables(
        [
            measurement("create", "original", statements=1_500, wall=3.0),
            measurement("create", "optimized", statements=20, wall=1.5),
        ]
    )
    assert lines(table) == [
        "create original 1,500 2,000 0 3.00 0.50 0.40 0.10 0.33 91 8.2",
        "create optimized 20 2,000 0 1.50 0.50 0.40 0.10 0.67 91 8.2",
        "create original / optimized 75.0 x 1.0 x 2.0 x 1.0 x 1.0 x 1.0 x 0.5 x 1.0 x 1.0 x",
    ]


def test_the_floor_is_compared_with_what_does_the_same() -> None:
    (table,) = tables(
        [
            measurement("create", "optimized", wall=3.0),
            measurement("total", "optimized", wall=6.0),
            measurement("floor_create", "floor", wall=1.0),
            measurement("floor_ingest", "floor", wall=2.0),
        ]
    )
    assert lines(table)[-2:] == [
        "create times the floor 3.0 x 1.0 x 1.0 x",
        "total times the floor 2.0 x 0.5 x 0.5 x",
    ]


def test_a_table_for_each_size() -> None:
    made = tables([measurement("check", "optimized", size) for size in (LARGE, SMALL)])
    assert [table.size for table in made] == [LARGE, SMALL]
    heading, _, names, rule, line = markdown(made[0]).splitlines()
    assert heading == ("### 500 companies x 40 requests x 12 messages, 200,000 finished requests")
    assert len(names) == len(rule) == len(line)


def test_the_document_keeps_what_is_around_the_tables(tmp_path: Path) -> None:
    path = tmp_path / "benchmarks.md"
    path.write_text("nothing between which a table could stand", encoding="utf-8")
    with pytest.raises(BatchAssetsError, match="lacks the markers"):
        write_document([], path)


def test_the_results_are_replaced(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    write_results([measurement("check", "original"), measurement("check", "optimized")], path)
    write_results([measurement("create", "original")], path)
    assert json.loads(path.read_text(encoding="utf-8")) == [
        {
            "stage": "create",
            "implementation": "original",
            "companies": 5,
            "requests": 40,
            "messages": 12,
            "history": 1_000,
            "delay": 0.0,
            "at_a_time": None,
            "statements": 10,
            "rows": 2_000,
            "calls": 0,
            "refused": 0,
            "wall_s": 1.0,
            "cpu_s": 0.5,
            "server_cpu_s": 0.1,
            "peak_mb": 91.3,
            "postgres_cpu_s": 0.4,
        }
    ]


def test_sizes_are_pairs(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    arguments = ["--companies", "5", "10", "--requests", "40", "--messages", "1", "--history", "0"]
    assert command.main(arguments, project_dir=tmp_path) == BatchAssetsError.exit_code
    assert "as many numbers as each other" in capsys.readouterr().out


def test_the_document_shows_the_figures_that_are_kept() -> None:
    kept = json.loads(RESULTS.read_text(encoding="utf-8"))
    shown = re.sub(r" +", " ", DOCUMENT.read_text(encoding="utf-8"))
    missing = [
        one
        for one in kept
        if f"| {one['stage']} | {one['implementation']} | {one['statements']:,} | {one['rows']:,} "
        f"| {one['calls']:,} | {one['wall_s']:,.2f} |" not in shown
    ]
    assert kept
    assert missing == []
