"""LiveDash's server beside the job: what it may do at any time, and what it must not come to.

The worlds are `drills/beside.py`'s; they are played once, in a process of their own.
"""

import json
from typing import Any

import pytest

from batch_assets_tests.databases import TestDatabases
from batch_assets_tests.drills.playing import play
from drills.beside import BUGS, SET

# The worlds take a while: one process plays them for all of these tests.
pytestmark = pytest.mark.xdist_group("beside")


@pytest.fixture(scope="module")
def outcomes(
    databases: TestDatabases, tmp_path_factory: pytest.TempPathFactory
) -> list[dict[str, Any]]:
    """What became of each world, and of those with a bug in."""
    url = databases.clone_migrated()
    played = play("beside", [url], tmp_path_factory.mktemp("beside"))
    databases.drop(url)
    assert played.returncode == 0, played.stdout + played.stderr
    return [json.loads(line) for line in played.stdout.splitlines()]


def found(outcomes: list[dict[str, Any]], *kinds: str) -> list[str]:
    """What was found of these kinds where no bug was put in."""
    return [
        f"world {one['seed']}, {finding['kind']}: {finding['text']}"
        for one in outcomes
        for finding in one["findings"]
        if one["bug"] is None and finding["kind"] in kinds
    ]


def test_no_conversation_is_billed_twice(outcomes: list[dict[str, Any]]) -> None:
    assert found(outcomes, "billed twice") == []


def test_livedash_never_asks_again_for_a_session_that_it_has_asked_for(
    outcomes: list[dict[str, Any]],
) -> None:
    assert found(outcomes, "asked again") == []


def test_what_livedash_has_called_live_is_never_bought(outcomes: list[dict[str, Any]]) -> None:
    assert found(outcomes, "history") == []


@pytest.mark.parametrize("timer", ["check", "process"])
def test_no_batch_of_ours_is_ever_selected(outcomes: list[dict[str, Any]], timer: str) -> None:
    assert found(outcomes, timer) == []


def test_nothing_but_dead_letters_is_ever_retried(outcomes: list[dict[str, Any]]) -> None:
    assert found(outcomes, "retry") == []


def test_nothing_that_is_in_flight_or_put_off_is_ever_created(
    outcomes: list[dict[str, Any]],
) -> None:
    assert found(outcomes, "create") == []


def test_every_session_ends_and_its_stage_says_how(outcomes: list[dict[str, Any]]) -> None:
    assert found(outcomes, "stuck", "stage") == []


def test_one_world_has_every_kind_of_trouble(outcomes: list[dict[str, Any]]) -> None:
    (happened,) = [one["happened"] for one in outcomes if (one["seed"], one["bug"]) == (SET, None)]
    ended = ("expired", "refused", "capacity")
    for trouble in ("failed", "unanswered", "dead", "tried_again", *ended):
        assert happened[trouble] > 0, happened
    assert happened["broken_off"] > 5, happened


def test_livedash_has_its_turn_between_any_two_stages(outcomes: list[dict[str, Any]]) -> None:
    assert min(one["looks"] for one in outcomes) > 40


@pytest.mark.parametrize("bug", BUGS)
def test_a_bug_that_is_put_in_is_found(outcomes: list[dict[str, Any]], bug: str) -> None:
    (outcome,) = [one for one in outcomes if one["bug"] == bug]
    assert BUGS[bug] in {finding["kind"] for finding in outcome["findings"]}
