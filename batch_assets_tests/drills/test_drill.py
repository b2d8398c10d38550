"""The crash drill in its short form, and the bugs that it has to find."""

import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from batch_assets.openai_batch.operations import Operation
from batch_assets_tests.databases import TestDatabases
from batch_assets_tests.drills.playing import play
from drills.aiming import Aim
from drills.judging import Verdict
from drills.kinds import CYCLE, rehearsals, retold
from drills.points import Points, Strike
from drills.probes import CALLS
from drills.sabotage import SABOTAGES

# The kills wait more than they work: they go on beside these.
pytestmark = [pytest.mark.xdist_group("drills"), pytest.mark.usefixtures("killing")]

_FOUND_AS = {"failures": "lost", "order": "stuck"}
"""What a bug leads to, where nothing is billed twice: a batch that the database does not know holds
all submissions."""


@pytest.fixture
def database_urls(databases: TestDatabases) -> Iterator[list[str]]:
    urls = [databases.clone_migrated() for _ in range(4)]
    yield urls
    for url in urls:
        databases.drop(url)


def test_nothing_is_lost_nothing_paid_twice(database_urls: list[str], tmp_path: Path) -> None:
    played = play("short", database_urls, tmp_path)
    assert played.returncode == 0, played.stdout + played.stderr
    points, last = played.stdout.splitlines()[-2:]
    assert re.fullmatch(r"points=\d+ killed=\d+", points), points
    figures = re.fullmatch(
        r"schedules=(\d+) kills=(\d+) requests=(\d+) lost=0 billed_twice=0 stuck=0", last
    )
    assert figures is not None, last
    schedules, kills, requests = map(int, figures.groups())
    assert schedules == len(set(CYCLE))
    assert kills >= 4
    assert requests >= 20 * schedules
    assert all(len(line) <= 80 for line in played.stdout.splitlines())


def test_any_order_of_steps_keeps_the_accounts(database_url: str, tmp_path: Path) -> None:
    played = play("steps", [database_url], tmp_path)
    assert played.returncode == 0, played.stdout + played.stderr
    counts = json.loads(played.stdout)
    assert counts["broken_off"] > 0, counts
    assert counts["requests"] > counts["examples"], counts


def test_bugs_that_are_put_in_are_found(database_url: str, tmp_path: Path) -> None:
    played = play("sabotaged", [database_url], tmp_path)
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
        expected = _FOUND_AS.get(name, "billed_twice")
        assert with_it[expected] > 0, with_it


def aim_at(points: Iterable[str]) -> Aim:
    """One that knows these points from a rehearsal."""
    story = rehearsals()[0]
    verdict = Verdict.of(story)
    verdict.reached.update(dict.fromkeys(points, 3))
    return Aim([(story, verdict)])


def test_a_run_that_outlives_a_strike_meets_the_next_one() -> None:
    heard, told = os.pipe()
    acted: list[str] = []
    strikes = [Strike("submit:a", 2, "cut"), Strike("submit:b", 1, "kill")]
    points = Points(told, strikes, acted.append)
    points.stage = "submit"
    for effect in ("b", "a", "a", "a", "b"):
        points.reach(effect)
    os.close(told)
    with os.fdopen(heard) as lines:
        assert lines.read().split() == [
            *("submit:b", "submit:a", "submit:a", "!"),
            *("submit:a", "submit:b", "!"),
        ]
    assert acted == ["cut", "kill"]


def test_what_is_printed_of_a_story_tells_it_again() -> None:
    aim = aim_at(
        ["submit:call:upload:acted", "ingest:commit:finalize:after", "check:call:list:acted"]
    )
    kinds = set()
    for seed, told in enumerate(aim.stories(range(2 * len(CYCLE)), None)):
        assert retold(told.told) == told
        assert told.seed == seed
        assert 20 <= len(told.requests) <= 60
        kinds.add(told.kind)
    assert kinds == set(CYCLE)


def test_kills_go_round_the_points_and_more_often_to_what_was_missed() -> None:
    names = [f"submit:call:upload:{number}" for number in range(4)]
    aim = aim_at(names)
    struck: Counter[str] = Counter()
    for story in aim.stories(range(200), None):
        if story.kind != "kill":
            continue
        (strike,) = story.strikes
        struck[strike.name] += 1
        verdict = Verdict.of(story)
        verdict.kills = [strike.name] if strike.name != names[3] else []
        aim.learn(verdict)
    assert set(struck) == set(names)
    assert struck[names[3]] > max(struck[name] for name in names[:3])
    assert aim.is_enough
    assert aim.missed == [names[3]]


def test_a_point_that_a_story_reaches_is_aimed_at_in_that_story() -> None:
    aim = aim_at(["submit:call:upload:acted"])
    found, *_ = aim.stories([1], ["answers"])
    verdict = Verdict.of(found)
    verdict.reached.update({"check:commit:expire:before": 2})
    aim.learn(verdict)
    killed, *_ = aim.stories([2], ["kill"])
    assert (killed.scene, killed.seed) == (found.scene, 2)
    assert [strike.name for strike in killed.strikes] == ["check:commit:expire:before"]


def test_a_point_that_was_missed_is_aimed_at_in_another_story() -> None:
    aim = aim_at(["submit:call:upload:acted"])
    found = dict(zip(range(1, 4), aim.stories([1, 2, 3], ["answers"]), strict=True))
    for number, story in found.items():
        verdict = Verdict.of(story)
        verdict.reached.update({"check:commit:expire:before": number})
        aim.learn(verdict)
    rare = "check:commit:expire:before"
    killed = [story for story in aim.stories(range(4, 60), ["kill"]) if rare in story.told]
    # Two in each, those first that came to it most often.
    assert [story.scene for story in killed[:6]] == [
        found[number].scene for number in (3, 3, 2, 2, 1, 1)
    ]


def test_every_call_of_the_api_is_a_point() -> None:
    called = {name for _, _, name in CALLS}
    named = {Operation.RETRIEVE_BATCH: "retrieve", Operation.DOWNLOAD_FILE: "download"}
    named[Operation.FLEX_COMPLETION] = Operation.CHAT_COMPLETION
    listed = {Operation.CANCEL_BATCH: "cancel", Operation.CHECK_ACCOUNT: "list_batches"}
    for operation in Operation:
        assert (named | listed).get(operation, str(operation)) in called, operation
