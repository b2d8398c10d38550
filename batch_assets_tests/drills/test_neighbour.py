"""LiveDash beside a schedule's runs, and what the judge makes of it."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest
from sqlalchemy import text

from drills.judging import Verdict, judge
from drills.kinds import rehearsals
from drills.neighbour import Neighbour
from drills.server import Server
from drills.story import MODELS, Request, Story
from drills.world import World

NOTHING_BILLED = cast(
    "Server", SimpleNamespace(ledger=lambda: SimpleNamespace(entries=lambda **_: []))
)
STAGES = text('''SELECT status::text FROM public."SessionProcessingStatus" ORDER BY "sessionId"''')
REQUESTS = text(
    '''SELECT id, "processingStatus"::text AS status FROM public."AIProcessingRequest"'''
)
SET_BACK = text("""UPDATE public."SessionProcessingStatus" SET status = 'PENDING'""")


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    made = World(database_url)
    with closing(made):
        yield made


def story(livedash: str, count: int = 4) -> Story:
    requests = tuple(Request(f"r{number}-answered", "c", MODELS[0]) for number in range(count))
    return replace(rehearsals()[0], seed=1, requests=requests, livedash=livedash)


def verdict_of(played: Story, world: World, neighbour: Neighbour) -> Verdict:
    verdict = Verdict.of(played)
    judge(played, world, NOTHING_BILLED, verdict, neighbour.api.purchases)
    return verdict


def test_it_makes_the_requests_that_are_not_there_yet(world: World) -> None:
    played = story("makes")
    world.play(played)
    assert [row.id for row in world.ask(REQUESTS)] == ["r1-answered", "r2-answered"]
    with closing(Neighbour(played, world)) as neighbour:
        neighbour.begin_round()
        verdict = verdict_of(played, world, neighbour)
    assert {row.id for row in world.ask(REQUESTS)} == {one.id for one in played.requests}
    assert {row.status for row in world.ask(STAGES)} == {"IN_PROGRESS"}
    assert (verdict.errors, verdict.stuck) == ([], 4)


def test_a_request_for_a_session_that_has_one_is_an_error(world: World) -> None:
    played = story("makes")
    world.play(played)
    with closing(Neighbour(played, world)) as neighbour:
        neighbour.begin_round()
        world.ask(SET_BACK)
        neighbour.begin_round()
        verdict = verdict_of(played, world, neighbour)
    assert verdict.errors == [
        f"LiveDash was let ask again: again2-{one.id}" for one in played.requests
    ]


def test_what_it_buys_is_counted_apart(world: World) -> None:
    played = story("buys", count=30)
    world.play(played)
    with closing(Neighbour(played, world)) as neighbour:
        for _ in range(12):
            neighbour.begin_round()
        verdict = verdict_of(played, world, neighbour)
        bought = {one.request_id for one in neighbour.api.purchases}
    assert len(bought) >= 10
    assert (verdict.bought_by_livedash, verdict.bought_by_both) == (len(bought), 0)
    assert verdict.stuck == len(played.requests) - len(bought)
    in_flight = {row.id for row in world.ask(REQUESTS) if row.status == "BATCHING_IN_PROGRESS"}
    assert in_flight == set(), "what it has bought comes to an end"


def test_nothing_is_beside_a_story_without_it(world: World) -> None:
    played = story("")
    world.play(played)
    with closing(Neighbour(played, world)) as neighbour:
        neighbour.begin_round()
    assert len(world.ask(REQUESTS)) == 4
    assert world.ask(STAGES) == []
