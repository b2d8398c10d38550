"""`batch-assets dead-letters`: what one reads, chooses by, and moves."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import create_engine

from batch_assets.store.strategy import choose_queries
from batch_assets.store.urls import application_url
from batch_assets_tests.cli.conftest import KEY, Outcome, Type
from batch_assets_tests.cli.test_errors import assert_one_sentence
from batch_assets_tests.factories import make_company, make_request, make_session
from batch_assets_tests.store.queries.support import PERMANENT, Desk, failed

NAME = "Zorggroep [bold]Oost"


class World:
    """Three dead letters of one company, and a request that failed through LiveDash itself."""

    def __init__(self, database_url: str) -> None:
        self.configured = {"DATABASE_URL": database_url, "OPENAI_API_KEY": KEY}
        engine = create_engine(
            application_url(database_url), connect_args={"prepare_threshold": None}
        )
        self.desk = Desk(engine, choose_queries(engine, optimized=True))
        batch, self.ids = self.desk.ended(3)
        self.company_id, self.batch_id = batch.company_id, batch.id
        self.desk.write(batch.lease, [failed(request_id, PERMANENT) for request_id in self.ids])
        self.desk.finalize(batch.lease)
        self.desk.do('UPDATE public."Company" SET name = :name', name=NAME)
        with engine.begin() as connection:
            session_id = make_session(connection, self.company_id)
            self.external = make_request(connection, session_id, status="PROCESSING_FAILED")


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    made = World(database_url)
    yield made
    made.desk.engine.dispose()


@pytest.fixture
def dead_letters(typed: Type, world: World) -> Type:
    """Types `batch-assets dead-letters …` on the world's database."""

    def type_(*arguments: str) -> Outcome:
        return typed("dead-letters", *arguments, **world.configured)

    return type_


def test_list_and_show(dead_letters: Type, world: World) -> None:
    listed = dead_letters("list", "--limit", "2", "--company", NAME)
    assert listed.code == 0
    assert "2 of 3 dead letters." in listed.out
    assert "[bold]" in listed.out
    assert "refused" in listed.out

    document = json.loads(dead_letters("list", "--json").out)
    assert document["total"] == 3
    newest, second, oldest = [letter["request_id"] for letter in document["dead_letters"]]
    assert {newest, second, oldest} == set(world.ids)
    assert f"--after {second}" in listed.out
    rest = json.loads(dead_letters("list", "--after", second, "--json").out)
    assert [letter["request_id"] for letter in rest["dead_letters"]] == [oldest]

    shown = dead_letters("show", newest)
    assert shown.code == 0
    for part in (newest, NAME, "PROCESSING_FAILED", "The model refused to answer."):
        assert part in shown.out
    read = json.loads(dead_letters("show", newest, "--json").out)
    assert read["dead_letter"]["code"] == "refused"
    (attempt,) = read["attempts"]
    assert (attempt["batch_id"], attempt["outcome"]) == (world.batch_id, "failed")


def test_requeue(dead_letters: Type, world: World) -> None:
    desk = world.desk
    planned = dead_letters("requeue", "--company", world.company_id, "--external", "--dry-run")
    assert planned.code == 0
    assert "failed through LiveDash" in planned.out
    assert "Nothing was changed" in planned.out
    groups = json.loads(dead_letters("requeue", "--all", "--dry-run", "--json").out)
    assert groups["requests"] == 3
    assert [(one["code"], one["requests"]) for one in groups["would_requeue"]] == [("refused", 3)]
    assert desk.statuses([*world.ids, world.external]) == {"PROCESSING_FAILED"}

    one = dead_letters("requeue", world.ids[0])
    assert (one.code, one.err) == (0, "")
    assert "Put back among the waiting: 1 request." in one.out
    desk.do(
        'UPDATE public."AIProcessingRequest" SET "processingStatus" = \'PROCESSING_COMPLETE\''
        " WHERE id = :id",
        id=world.ids[1],
    )
    told = dead_letters("requeue", world.ids[1])
    assert "1 dead letter had been changed or deleted in LiveDash" in told.out
    rest = dead_letters("requeue", "--company", world.company_id, "--external", "--json")
    assert json.loads(rest.out) == {
        "requeued": 1,
        "external": 1,
        "hastened": 0,
        "overtaken": 0,
        "foreign": 1,
    }
    assert desk.intake() == {world.ids[0], world.ids[2], world.external}


def test_an_options_former_name_goes_on_working_with_a_warning(
    dead_letters: Type, world: World
) -> None:
    former = dead_letters("requeue", world.external, "--foreign", "--json")
    assert former.code == 0
    assert former.err == "`--foreign` is called `--external`: type that.\n"
    assert json.loads(former.out)["external"] == 1
    assert "--foreign" not in dead_letters("requeue", "--help").out


def test_what_was_typed_wrong_is_one_sentence(dead_letters: Type, world: World) -> None:
    waiting = world.desk.more(world.company_id, 1)[0]
    tomorrow = f"{datetime.now(UTC).year + 1}-01-01"
    for arguments, code, part in (
        ("show nobody", 2, "No request has the id 'nobody'."),
        ("list --after nobody", 2, "no dead letter"),
        ("list --company nobody", 2, "No company has the id or the name 'nobody'"),
        ("list --kind bad", 2, "transient"),
        ("list --older-than yesterday", 2, "--older-than is 'yesterday': it must be an age"),
        ("list --older-than 7w", 2, "--older-than is '7w'"),
        (f"list --newer-than {tomorrow} --older-than 1h", 2, "leave no time between them"),
        ("requeue", 2, "Which ones?"),
        ("requeue --all --code refused", 2, "--all is all dead letters"),
        ("requeue --code refused --external", 2, "--external needs ids or --company"),
        (f"requeue {waiting} --code x --external", 2, "--external cannot be chosen by --code"),
        ("requeue nobody", 2, "No request has the id 'nobody'"),
        (f"requeue {waiting} {world.ids[0]}", 1, "is no dead letter: it is PENDING_BATCHING"),
        (f"requeue {world.external}", 1, "--external includes it"),
    ):
        assert_one_sentence(dead_letters(*arguments.split()), code, part)
    assert world.desk.statuses(world.ids) == {"PROCESSING_FAILED"}


def test_a_name_of_two_companies_needs_an_id(dead_letters: Type, world: World) -> None:
    with world.desk.engine.begin() as connection:
        make_company(connection, name="Twice")
        make_company(connection, name="Twice")
    assert_one_sentence(dead_letters("list", "--company", "Twice"), 2, "Several companies")
