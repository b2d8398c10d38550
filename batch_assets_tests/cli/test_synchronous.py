"""`batch-assets synchronous`: what it refuses, what it says that it costs, and what it asks for."""

import json
from collections.abc import Iterator

import pytest

from batch_assets_tests.cli.conftest import Outcome, Type
from batch_assets_tests.cli.test_dead_letters import NAME, World
from batch_assets_tests.cli.test_errors import assert_one_sentence

ON = {"BATCH_SYNCHRONOUS_RETRIES": "true"}


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    made = World(database_url)
    yield made
    made.desk.engine.dispose()


@pytest.fixture
def synchronous(typed: Type, world: World) -> Type:
    """Types `batch-assets synchronous …` on the world's database."""

    def type_(*arguments: str, **environ: str) -> Outcome:
        return typed("synchronous", *arguments, **world.configured, **environ)

    return type_


def asked(world: World) -> set[str]:
    return set(world.desk.column("SELECT request_id FROM batch_assets.synchronous_request"))


def test_it_refuses_while_it_is_off(synchronous: Type, world: World) -> None:
    assert_one_sentence(synchronous(*world.ids, "--yes"), 2, "Synchronous requests are off")
    looked = synchronous("--all", "--dry-run")
    assert looked.code == 0
    assert (
        "Synchronous requests are off (BATCH_SYNCHRONOUS_RETRIES): nothing can be asked for now."
        in looked.out
    )
    assert asked(world) == set()


def test_it_says_what_it_costs_before_it_asks(synchronous: Type, world: World) -> None:
    waits = world.desk.more(world.company_id, 1)[0]
    looked = synchronous(*world.ids, waits, "--dry-run", **ON)
    assert looked.code == 0
    for part in (NAME, "refused", "waiting", "EUR synchronous", "Costs are estimates. Sent synch"):
        assert part in looked.out
    document = json.loads(synchronous(*world.ids, waits, "--dry-run", "--json", **ON).out)
    assert (document["requests"], document["synchronous_is_on"]) == (4, True)
    assert document["cost_eur"] == pytest.approx(2 * document["batch_cost_eur"])
    assert [quote["requests"] for quote in document["would_ask"]] == [3, 1]
    assert_one_sentence(synchronous(*world.ids, **ON), 2, "add --yes")
    assert asked(world) == set()


def test_what_was_asked_for_is_kept_once(typed: Type, synchronous: Type, world: World) -> None:
    first, *_ = world.ids
    told = synchronous(first, "--yes", **ON)
    assert told.code == 0
    assert "Asked for: 1 request." in told.out
    assert "at most 100 in a run and 1,000 or 5.00 EUR in a day (UTC)." in told.out
    assert asked(world) == {first}
    again = json.loads(synchronous("--company", NAME, "--yes", "--json", **ON).out)
    assert (again["asked"], again["requests"]) == (2, 3)
    assert asked(world) == set(world.ids)
    assert json.loads(synchronous("--code", "nothing", "--yes", "--json", **ON).out)["asked"] == 0
    status = typed("status", **world.configured)
    assert "Synchronous requests are off: 3 requests asked for, 0 claimed today" in status.out
    document = json.loads(typed("status", "--json", **world.configured, **ON).out)
    assert (
        document["synchronous"]
        == document["live"]
        == {
            "is_on": True,
            "asked": 3,
            "today_requests": 0,
            "today_cost_eur": 0.0,
        }
    )


def test_its_former_name_goes_on_working_with_a_warning(typed: Type, world: World) -> None:
    former = typed("live", *world.ids, "--yes", "--json", **world.configured, **ON)
    assert former.code == 0
    assert former.err == "`batch-assets live` is called `batch-assets synchronous`: type that.\n"
    assert json.loads(former.out)["asked"] == len(asked(world)) == 3


def test_what_cannot_be_meant_is_one_sentence(synchronous: Type, world: World) -> None:
    _, (in_batch, *_) = world.desk.submitted()
    for arguments, code, part in (
        ("", 2, "Which ones?"),
        ("--all --code refused", 2, "--all is all that have failed"),
        ("nobody", 2, "No request has the id 'nobody'"),
        (f"{world.external}", 1, "failed through LiveDash itself"),
        (f"{world.ids[0]} {in_batch}", 1, "it is BATCHING_IN_PROGRESS"),
    ):
        assert_one_sentence(synchronous(*arguments.split(), "--yes", **ON), code, part)
    world.desk.do("UPDATE public.\"Company\" SET status = 'SUSPENDED'")
    assert_one_sentence(
        synchronous(world.ids[0], "--yes", **ON), 1, "of a company that is not active"
    )
    assert asked(world) == set()


def test_it_says_what_goes_by_flex(synchronous: Type, world: World) -> None:
    by_flex = {**ON, "BATCH_FLEX_MODELS": "gpt-4o-mini"}
    document = json.loads(synchronous(*world.ids, "--dry-run", "--json", **by_flex).out)
    assert (document["requests"], document["flex_requests"]) == (3, 3)
    assert document["cost_eur"] == pytest.approx(document["batch_cost_eur"], rel=0.05)
    said = synchronous(*world.ids, "--dry-run", **by_flex).out.replace("\n", " ")
    assert "3 requests go by flex, for what a batch costs; after 120 minutes without room" in said
    alone = {**ON, "BATCH_SYNCHRONOUS_TIERS": "flex"}
    refused = synchronous(*world.ids, "--dry-run", **alone).out
    assert "Cannot be sent: 3 requests (model gpt-4o-mini is not offered by flex)" in refused
