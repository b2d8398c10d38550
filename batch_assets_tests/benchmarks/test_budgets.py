"""The benchmark's short form: what it counts has bars, what it times has none."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from batch_assets.domain.hosts import BEAT_SECONDS
from batch_assets_local import stack
from benchmarks.comparison import command
from benchmarks.comparison.document import BEGIN, END
from benchmarks.comparison.peer_environment import PEER
from benchmarks.comparison.scenarios import Scenario
from benchmarks.comparison.sizes import Size

SIZE = Size(companies=30, requests=40, messages=3, history=400)
SCENARIO = Scenario(SIZE, {"original": 1, "optimized": 1, "floor": 1, PEER: 1})

FIELDS = [
    *("stage", "implementation", "companies", "requests", "messages", "history"),
    *("delay", "at_a_time"),
    *("statements", "rows", "calls", "refused", "wall_s", "cpu_s", "server_cpu_s", "peak_mb"),
    *("postgres_cpu_s", "runs", "commit"),
]
STAGES = {"create", "check", "ingest", "idle", "total", "job_busy", "job_idle"}
EVERYTHING = {(stage, one) for stage in STAGES for one in ("original", "optimized")} | {
    ("floor_create", "floor"),
    ("floor_ingest", "floor"),
    ("floor_rest", "floor"),
}


def test_the_budgets_hold(
    tmp_path: Path, subtests: pytest.Subtests, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PEER_PYTHON", "/no/such/python")
    results, document = tmp_path / "results.json", tmp_path / "benchmarks.md"
    document.write_text(f"Before.\n{BEGIN}\n{END}\nAfter.\n", encoding="utf-8")
    code = command.main(
        ["--document", "--peer", PEER],
        project_dir=tmp_path,
        results=results,
        document=document,
        documented=[SCENARIO],
    )
    assert code == 0
    assert not stack.state_dir(tmp_path, command.STACK).exists()
    measured: list[dict[str, Any]] = json.loads(results.read_text(encoding="utf-8"))
    of = {(one["stage"], one["implementation"]): one for one in measured}

    def count(stage: str, implementation: str = "optimized", what: str = "statements") -> int:
        return int(of[stage, implementation][what])

    with subtests.test("everything is measured, and kept in the agreed form"):
        assert all(list(one) == FIELDS for one in measured)
        assert of.keys() == EVERYTHING
        assert {(one["companies"], one["requests"]) for one in measured} == {(30, 40)}
        assert all(one["statements"] and one["rows"] and one["peak_mb"] for one in measured)

    def signs_of_life(stage: str) -> int:
        """A statement each time that so many seconds have gone by, and one when it is over."""
        beats = int(of[stage, "optimized"]["wall_s"] / BEAT_SECONDS)
        return beats + 1 if beats else 0

    with subtests.test("a busy run"):
        # As many requests are read as are submitted, and each company has one batch of either.
        moved, recorded = 2 * SIZE.waiting, 2 * SIZE.companies
        needed = 40 + 2 * moved / 1_000 + recorded / 20
        assert count("job_busy") <= needed + signs_of_life("job_busy")

    with subtests.test("an idle run"):
        assert count("job_idle") <= 10 + signs_of_life("job_idle")

    with subtests.test("the original is a fair comparison"):
        assert count("total", "original") <= 5 * SIZE.waiting

    with subtests.test("the reduction"):
        assert count("job_busy") <= 0.05 * count("job_busy", "original")
        assert count("job_idle") <= 0.10 * count("job_idle", "original")

    with subtests.test("statuses come from pages of the list"):
        for implementation in ("original", "optimized"):
            pages = count("check", implementation, "calls")
            assert 1 <= pages <= 1 + SIZE.companies / 100 + 1

    with subtests.test("nothing is asked of the server when there is nothing to do"):
        assert count("idle", what="calls") == count("job_idle", what="calls") == 0

    with subtests.test("each implementation makes the same calls"):
        for stage in STAGES:
            assert count(stage, "original", "calls") == count(stage, "optimized", "calls")

    with subtests.test("the tables stand between the markers"):
        text = document.read_text(encoding="utf-8")
        (commit,) = {one["commit"] for one in measured}
        assert text.startswith(f"Before.\n{BEGIN}\nOf commit {commit}, measured on ")
        assert f"\n\n### {SIZE}\n" in text

    with subtests.test("where the peer has no Python the rest is measured, and the page says so"):
        assert re.search(r"\| total +\| batchor: not measured +\|", text)
        assert text.endswith(
            "|\n\nbatchor is not measured: PEER_PYTHON is '/no/such/python', which is no Python "
            f"3.12 or newer with a venv module.\n{END}\nAfter.\n"
        )
