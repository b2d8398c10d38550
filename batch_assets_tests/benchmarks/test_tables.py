"""How figures are shown, kept and compared with each other."""

import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from batch_assets.domain.errors import BatchAssetsError
from benchmarks.comparison import command
from benchmarks.comparison.databases import Counted
from benchmarks.comparison.document import BEGIN, DOCUMENT, markdown, write_document
from benchmarks.comparison.measurements import (
    RESULTS,
    Measurement,
    commit_of,
    medians,
    write_results,
)
from benchmarks.comparison.sizes import Size
from benchmarks.comparison.tables import Table, shapes, tables
from benchmarks.comparison.usage import Usage

SMALL = Size(companies=5, requests=40, messages=12, history=1_000)
LARGE = Size(companies=500, requests=40, messages=12, history=200_000)


def measurement(
    stage: str,
    implementation: str,
    size: Size = SMALL,
    *,
    statements: int = 10,
    wall: float = 1.0,
    runs: int = 1,
) -> Measurement:
    return Measurement(
        stage=stage,
        implementation=implementation,
        size=size,
        counted=Counted(statements=statements, rows=2_000, bytes=8_192_000, postgres_cpu_s=0.4),
        usage=Usage(calls=0, refused=0, wall_s=wall, cpu_s=0.5, server_cpu_s=0.1, peak_mb=91.3),
        runs=runs,
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
            measurement("floor_rest", "floor", wall=1.0),
        ]
    )
    assert lines(table)[-3:] == [
        "create times the floor 3.0 x 1.0 x 1.0 x",
        "total times the floor 2.0 x 0.5 x 0.5 x",
        "total times the floor and the rest 1.5 x 0.3 x 0.3 x",
    ]


def test_a_table_for_each_size() -> None:
    made = tables([measurement("check", "optimized", size) for size in (LARGE, SMALL)])
    assert [table.title for table in made] == [str(LARGE), str(SMALL)]
    heading, _, names, rule, line = markdown(made[0]).splitlines()
    assert heading == ("### 500 companies x 40 requests x 12 messages, 200,000 finished requests")
    assert len(names) == len(rule) == len(line)


def test_the_document_keeps_what_is_around_the_tables(tmp_path: Path) -> None:
    path = tmp_path / "benchmarks.md"
    path.write_text("nothing between which a table could stand", encoding="utf-8")
    with pytest.raises(BatchAssetsError, match="lacks the markers"):
        write_document("", [], path)


def test_the_results_are_replaced(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    write_results([measurement("check", "original"), measurement("check", "optimized")], path, "a")
    write_results([measurement("create", "original")], path, "58166c6")
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
            "runs": 1,
            "commit": "58166c6",
        }
    ]


def test_figures_are_of_a_commit_unless_its_files_were_changed(tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        ended = subprocess.run(
            [
                "git",
                "-C",
                tmp_path,
                "-c",
                "user.name=A",
                "-c",
                "user.email=a@example.com",
                *arguments,
            ],
            capture_output=True,
            text=True,
            check=True,
        )
        return ended.stdout.strip()

    assert commit_of(tmp_path) == "unknown"
    made = [tmp_path / "docs" / "benchmarks.md", tmp_path / "benchmarks" / "results.json"]
    code = tmp_path / "benchmarks" / "code.py"
    for path in (*made, code):
        path.parent.mkdir(exist_ok=True)
        path.write_text("before")
    git("init", "-q")
    git("add", "-A")
    git("commit", "-q", "-m", "all of it")
    commit = git("rev-parse", "--short", "HEAD")
    for path in made:
        path.write_text("made anew")
    assert commit_of(tmp_path) == commit
    assert commit_of(code.parent) == commit
    code.write_text("changed")
    assert commit_of(tmp_path) == f"{commit}, with changes"


def test_each_figure_is_a_median_of_its_own() -> None:
    (made,) = medians(
        [
            measurement("total", "optimized", statements=90, wall=3.0),
            measurement("total", "optimized", statements=170, wall=2.0),
            measurement("total", "optimized", statements=98, wall=9.0),
        ]
    )
    assert (made.counted.statements, made.usage.wall_s, made.runs) == (98, 3.0, 3)


def test_what_differs_is_not_thrown_together() -> None:
    measured = [
        measurement(stage, implementation, size)
        for stage in ("create", "total")
        for implementation in ("optimized", "floor")
        for size in (SMALL, replace(SMALL, delay=0.3))
    ]
    assert medians(measured) == measured


def test_a_table_says_of_how_many_runs_it_is() -> None:
    one, several = tables(
        [
            measurement("total", "optimized", SMALL),
            measurement("total", "original", LARGE),
            measurement("total", "optimized", LARGE, runs=3),
        ]
    )
    assert one.note == ""
    assert several.note == "Runs: original 1, optimized 3."
    assert markdown(several).endswith("|\n\nRuns: original 1, optimized 3.")


def test_the_peer_is_compared() -> None:
    (table,) = tables(
        [
            measurement("total", "optimized", wall=1.0),
            measurement("total", "batchor", statements=80, wall=2.5),
        ]
    )
    assert lines(table)[1:] == [
        "total batchor 80 2,000 0 2.50 0.50 0.40 0.10 0.40 91 8.2",
        "total batchor / optimized 8.0 x 1.0 x 2.5 x 1.0 x 1.0 x 1.0 x 0.4 x 1.0 x 1.0 x",
    ]


def test_without_the_peer_the_table_says_why() -> None:
    measured = [measurement("total", "optimized", size) for size in (SMALL, LARGE)]
    small, large = tables(measured, {SMALL: "batchor is not measured: there is no Python."})
    assert lines(small)[1:] == ["total batchor: not measured"]
    assert small.note == "batchor is not measured: there is no Python."
    assert len(set(map(len, markdown(small).splitlines()[2:5]))) == 1
    assert lines(large) == lines(small)[:1]
    assert large.note == ""


def test_what_a_request_takes_whatever_the_shape() -> None:
    far = replace(LARGE, delay=0.3)
    measured = [
        measurement(stage, implementation, size, wall=wall)
        for size in (SMALL, LARGE, far)
        for stage, implementation, wall in (
            ("total", "original", 99.0),
            ("total", "optimized", 4.0),
            ("total", "batchor", 50.0),
            ("floor_create", "floor", 0.5),
            ("floor_ingest", "floor", 1.0),
        )
    ]
    table = shapes(measured)
    assert table is not None
    assert lines(table) == [
        "5 x 40 10 0 4.00 20.00 2.50 91 1.50",
        "500 x 40 10 0 4.00 0.20 0.03 91 1.50",
    ]
    assert shapes(measured[:5]) is None


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


def test_the_document_names_the_commit_of_what_is_kept() -> None:
    kept = json.loads(RESULTS.read_text(encoding="utf-8"))
    (commit,) = {one["commit"] for one in kept}
    made = DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)[2]
    assert f"Of commit {commit}," in made
