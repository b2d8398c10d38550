"""The crash drill in its short form, and the bugs that it has to find."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from batch_assets.wiring import PROJECT_DIR
from batch_assets_tests.databases import TestDatabases
from drills.kinds import CYCLE, Seen, story_of
from drills.sabotage import SABOTAGES

SECONDS = 240


@pytest.fixture
def database_urls(databases: TestDatabases) -> Iterator[list[str]]:
    urls = [databases.clone_migrated() for _ in range(4)]
    yield urls
    for url in urls:
        databases.drop(url)


def play(form: str, urls: list[str], directory: Path) -> "subprocess.CompletedProcess[str]":
    """In a process of its own: the drill forks, and a test's process has threads."""
    return subprocess.run(
        [sys.executable, "-m", "batch_assets_tests.drills.played", form, str(directory)],
        cwd=PROJECT_DIR,
        input="\n".join(urls),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def test_nothing_is_lost_nothing_paid_twice(database_urls: list[str], tmp_path: Path) -> None:
    played = play("short", database_urls, tmp_path)
    assert played.returncode == 0, played.stdout + played.stderr
    last = played.stdout.splitlines()[-1]
    figures = re.fullmatch(
        r"schedules=(\d+) kills=(\d+) requests=(\d+) lost=0 billed_twice=0 stuck=0", last
    )
    assert figures is not None, last
    schedules, kills, requests = map(int, figures.groups())
    assert schedules == len(set(CYCLE)) + 2
    assert kills >= 4
    assert requests >= 20 * schedules
    assert all(len(line) <= 80 for line in played.stdout.splitlines())


def test_bugs_that_are_put_in_are_found(database_urls: list[str], tmp_path: Path) -> None:
    played = play("sabotaged", database_urls, tmp_path)
    assert played.returncode == 0, played.stdout + played.stderr
    found: dict[tuple[str, bool], dict[str, Any]] = {}
    for line in played.stdout.splitlines():
        one = json.loads(line)
        found[one["name"], one["is_on"]] = one
    assert {name for name, _ in found} == set(SABOTAGES)
    for name in SABOTAGES:
        without, with_it = found[name, False], found[name, True]
        clean = (without["lost"], without["billed_twice"], without["stuck"], without["errors"])
        assert clean == (0, 0, 0, []), without
        expected = "lost" if name == "failures" else "billed_twice"
        assert with_it[expected] > 0, with_it


def test_a_number_always_tells_the_same_story() -> None:
    seen = [Seen("submit:call:upload:acted", 1, 3, 1), Seen("ingest:commit:settle:after", 2, 1, 1)]
    for seed in range(2 * len(CYCLE)):
        told = story_of(seed, seen)
        assert told == story_of(seed, seen)
        assert told.kind == CYCLE[seed % len(CYCLE)]
        assert 20 <= len(told.requests) <= 60


def test_kills_go_round_the_points() -> None:
    seen = [Seen(f"submit:call:upload:{number}", 0, 1, 1) for number in range(7)]
    killed = {
        strike.name
        for seed in range(3 * len(CYCLE))
        if (story := story_of(seed, seen)).kind == "kill"
        for strike in story.strikes
    }
    assert killed == {one.name for one in seen}
