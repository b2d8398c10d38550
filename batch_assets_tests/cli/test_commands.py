"""The commands as one types them one after the other, on a database that LiveDash made."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import create_engine

from batch_assets.domain.former_names import FORMER_NAMES
from batch_assets.store.dagster_schema import create_dagster_schema
from batch_assets.store.migrate import upgrade
from batch_assets.store.urls import application_url
from batch_assets_local import stack
from batch_assets_local.batch_server import RunningServer
from batch_assets_tests.cli.conftest import KEY, Type
from batch_assets_tests.databases import TestDatabases
from batch_assets_tests.factories import make_company, make_request, make_requests, make_session

COMPANY = "Zorggroep [bold]Oost"
"""What looks like markup is a name like any other."""


@pytest.fixture
def unmigrated(
    livedash_database_url: str, configured_on: Callable[[str], dict[str, str]]
) -> dict[str, str]:
    return configured_on(livedash_database_url)


@pytest.fixture(scope="module")
def migrated_url(databases: TestDatabases) -> Iterator[str]:
    """A LiveDash of the module's that `migrate` was typed for, with something to send."""
    url = databases.clone_livedash()
    upgrade(url)
    create_dagster_schema(url)
    add_requests(url)
    yield url
    databases.drop(url)


@pytest.fixture
def configured(
    databases: TestDatabases, migrated_url: str, configured_on: Callable[[str], dict[str, str]]
) -> Iterator[dict[str, str]]:
    """The environment of a copy of it, which was not copied as far as it knows."""
    url = databases.copy(migrated_url)
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE batch_assets.installation SET incarnation_at = NULL")
    yield configured_on(url)
    databases.drop(url)


def add_requests(url: str) -> None:
    """Twelve requests of an active company, one of them without messages; two of a suspended."""
    engine = create_engine(application_url(url))
    with engine.begin() as connection:
        active = make_company(connection, name=COMPANY)
        make_requests(connection, active, 11)
        make_request(
            connection, make_session(connection, active, messages=0), age=timedelta(hours=1)
        )
        make_requests(connection, make_company(connection, status="SUSPENDED"), 2)
    engine.dispose()


def finish(typed: Type, configured: dict[str, str]) -> dict[str, int]:
    """Run the job until nothing of the active company is under way; the totals then.

    What a run shows of its ops has each number once, by its present name.
    """
    names: set[str] = set()
    for _ in range(30):
        ran = typed("run", **configured)
        assert ran.code == 0
        names |= set(re.findall(r"(\w+) [\d.,]+", ran.out))
        company = json.loads(typed("status", "--json", **configured).out)["companies"][0]
        if not company["waiting"] + company["in_batch"]:
            assert "finalized" in names
            assert not names & set(FORMER_NAMES.values())
            return dict(company)
    raise AssertionError(f"still under way: {company}")


def test_from_migration_to_analyses(typed: Type, unmigrated: dict[str, str]) -> None:
    configured = unmigrated
    assert typed("migrate", **configured).code == 0
    add_requests(configured["DATABASE_URL"])

    planned = typed("plan", "--dry-run", **configured)
    assert COMPANY in planned.out
    assert "Would be refused for good: 1 request (no_messages)." in planned.out
    assert "nothing is submitted now" in planned.out

    held = typed("run", **configured)
    assert "Nothing was submitted. Nothing has been submitted from this database yet" in held.out
    assert held.code == 6
    assert json.loads(typed("status", "--json", **configured).out)["totals"]["in_batch"] == 0

    confirmed = typed("confirm", "--yes", **configured)
    assert confirmed.code == 0
    assert "are allowed now" in confirmed.out
    assert "are allowed already" in typed("confirm", "--yes", **configured).out

    company = finish(typed, configured)
    assert (company["complete"], company["dead"]) == (11, 1)
    assert company["saved_eur"] > 0

    shown = typed("status", **configured).out
    assert COMPANY in shown
    assert "(50% saved)" in shown
    for said in (planned, held, confirmed):
        assert KEY not in said.out


def test_each_run_is_in_dagsters_history(typed: Type, configured: dict[str, str]) -> None:
    ran = typed("run", **configured)
    assert "succeeded" in ran.out
    with psycopg.connect(configured["DATABASE_URL"]) as connection:
        rows = connection.execute("SELECT run_id, status FROM dagster.runs").fetchall()
    assert [status for _, status in rows] == ["SUCCESS"]
    assert str(rows[0][0]) in ran.out


def test_a_failed_run_says_why(typed: Type, configured: dict[str, str], api: RunningServer) -> None:
    assert typed("confirm", "--yes", **configured).code == 0
    api.set_config(
        {
            "calls": [
                {"operation": "files.create", "effect": {"kind": "answer", "status": 403}},
            ]
        }
    )
    ran = typed("run", **configured)
    assert ran.code == 1
    assert ran.err.startswith("submit_batches: The API refuses the account")
    assert "failed." in ran.out


def test_json_is_one_document_and_nothing_else(typed: Type, configured: dict[str, str]) -> None:
    plan = typed("plan", "--dry-run", "--json", **configured)
    assert plan.err == ""
    document = json.loads(plan.out)
    assert document["unknown_types"] == {}
    parts = document["tokens_by_part"]
    assert parts["prompt"] + parts["schema"] + parts["conversation"] == document["totals"]["tokens"]
    assert parts["answer"] > 0
    (line,) = document["would_send"]
    assert (line["company"], line["requests"], line["batches"]) == (COMPANY, 11, 1)
    assert document["totals"]["tokens"] == line["tokens"] > 0
    assert {(one["answers"], one["is_learnt"]) for one in document["estimates"]} == {(0, False)}
    assert document["refused"] == {"no_messages": 1}
    assert document["submission_held_because"].startswith("Nothing has been submitted")

    status = typed("status", "--json", **configured)
    assert status.err == ""
    totals = json.loads(status.out)["totals"]
    assert (totals["sessions"], totals["waiting"]) == (14, 14)


def test_a_plan_says_what_its_costs_are_estimated_by_and_how_far_off_that_was(
    typed: Type, configured: dict[str, str]
) -> None:
    assumed = " ".join(typed("plan", "--dry-run", **configured).out.split())
    assert "the cost is assumed, since 0 answers of 30 that it takes to go by were read." in assumed
    with psycopg.connect(configured["DATABASE_URL"]) as connection:
        connection.execute(
            'INSERT INTO batch_assets.learnt_usage SELECT DISTINCT r.model, r."processingType",'
            " 240, 200, 2e5, 4e8, 1.5e8, 1e5, 0, 2e4, 2.1e6, 1.02, 1, 0.034"
            ' FROM public."AIProcessingRequest" AS r'
        )
    learnt = " ".join(typed("plan", "--dry-run", **configured).out.split())
    said = "estimated by 240 answers; the estimates of what was read last were off by 3.4 %."
    assert said in learnt
    assert "the cost is assumed" not in learnt


def test_planning_changes_nothing_with_or_without_the_flag_that_says_so(
    typed: Type, configured: dict[str, str]
) -> None:
    before = typed("status", "--json", **configured).out
    planned = typed("plan", **configured)
    assert (planned.code, planned.err) == (0, "")
    assert typed("plan", "--dry-run", **configured) == planned
    assert typed("status", "--json", **configured).out == before


def test_the_status_names_the_server_and_its_profile_and_no_secret(
    typed: Type, configured: dict[str, str]
) -> None:
    # Nobody is asked: the status is what the database knows.
    there = {
        "OPENAI_BASE_URL": "https://user:secret@acme.openai.azure.com",
        "OPENAI_API_VERSION": "2024-10-21",
    }
    shown = typed("status", **{**configured, **there})
    words = " ".join(shown.out.split())
    assert "batches go to the API at https://acme.openai.azure.com, profile azure-dated." in words
    assert "secret" not in shown.out + shown.err
    document = json.loads(typed("status", "--json", **{**configured, **there}).out)
    assert document["server_profile"] == "azure-dated"
    version = typed("status", **{**configured, "OPENAI_BASE_URL": "https://acme.openai.azure.com"})
    assert version.code == 2
    assert "set OPENAI_API_VERSION" in " ".join(version.err.split())
    wrong = typed("status", **{**configured, "BATCH_SERVER_PROFILE": "nobody"})
    assert "BATCH_SERVER_PROFILE is 'nobody': it must be openai, azure," in " ".join(
        wrong.err.split()
    )


def test_a_plan_says_where_tokens_go_and_warns_of_unknown_types(
    typed: Type, configured: dict[str, str]
) -> None:
    engine = create_engine(application_url(configured["DATABASE_URL"]))
    with engine.begin() as connection:
        others = make_company(connection)
        strange = "horo\x1b[31mscope"
        make_requests(connection, others, 2, processing_type=strange, age=timedelta(hours=1))
    engine.dispose()
    planned = typed("plan", "--dry-run", **configured).out
    assert re.search(
        r"Tokens per request: prompt \d+, schema \d+, conversation \d+; expected answer \d+\.",
        planned,
    )
    assert "Of an unknown processing type: 2 requests (2 horo\\x1b[31mscope), asked" in planned
    assert "\x1b" not in planned
    document = json.loads(typed("plan", "--dry-run", "--json", **configured).out)
    assert document["unknown_types"] == {"horo\\x1b[31mscope": 2}


def test_a_plan_says_whose_cost_it_does_not_know(typed: Type, configured: dict[str, str]) -> None:
    engine = create_engine(application_url(configured["DATABASE_URL"]))
    with engine.begin() as connection:
        for model in ("gpt-unheard-of", "gpt-4o-mini"):
            make_requests(connection, make_company(connection), 10, model=model)
    engine.dispose()
    planned = " ".join(typed("plan", "--dry-run", **configured).out.split())
    assert "Without a price, and in no sum above: gpt-unheard-of." in planned


def test_a_plan_names_what_waits_for_companies_that_are_not_active(
    typed: Type, configured: dict[str, str]
) -> None:
    planned = " ".join(typed("plan", "--dry-run", **configured).out.split())
    assert "Not sent: 2 requests of Zorggroep Oost, which is not active." in planned
    document = json.loads(typed("plan", "--dry-run", "--json", **configured).out)
    assert document["of_inactive_companies"] == 2


def test_a_stack_is_not_deleted_where_nobody_can_be_asked(
    typed: Type, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(stack, "state_dir", lambda *_: tmp_path)
    outcome = typed("local", "reset")
    assert (outcome.code, outcome.out) == (2, "")
    assert "`batch-assets local reset --yes` to do it." in outcome.err
    assert tmp_path.exists()


def test_confirm_asks_nobody_where_nobody_is(typed: Type, configured: dict[str, str]) -> None:
    outcome = typed("confirm", **configured)
    assert outcome.code == 2
    assert "`batch-assets confirm --yes`" in outcome.err
    assert '"' + configured["DATABASE_URL"].split("/")[-1].split("?")[0] in outcome.out
    assert "12 requests of 1 active company waiting" in outcome.out


def test_a_copy_has_to_be_told_from_a_move(
    typed: Type, configured: dict[str, str], copied_database_url: str
) -> None:
    copied = {**configured, "DATABASE_URL": copied_database_url}
    outcome = typed("confirm", "--yes", **copied)
    assert outcome.code == 6
    assert "`batch-assets confirm --copy`" in outcome.err
    assert typed("confirm", "--copy", "--moved", **copied).code == 2
    assert typed("confirm", "--copy", "--yes", **copied).code == 0
    assert typed("confirm", "--copy", "--yes", **copied).code == 2


def test_what_others_make_under_our_id_has_to_be_explained(
    typed: Type, configured: dict[str, str]
) -> None:
    assert typed("confirm", "--yes", **configured).code == 0
    with psycopg.connect(configured["DATABASE_URL"], autocommit=True) as connection:
        connection.execute(
            "INSERT INTO batch_assets.unknown_batch (remote_id, batch_id) VALUES ('batch_1', 'x')"
        )
    assert (
        "Nothing is submitted now. The server has 1 batch or file"
        in typed("status", **configured).out
    )
    held = typed("confirm", "--yes", **configured)
    assert held.code == 6
    assert "`batch-assets confirm --moved` if this one goes on alone" in held.err
    assert typed("confirm", "--moved", "--yes", **configured).code == 0
    assert "are allowed already" in typed("confirm", "--yes", **configured).out


def test_migrate_says_what_it_did_and_takes_it_back(
    typed: Type, unmigrated: dict[str, str]
) -> None:
    first = typed("migrate", **unmigrated)
    assert "Done: it was at revision none" in first.out
    assert "Nothing to do" in typed("migrate", **unmigrated).out
    back = typed("migrate", "--downgrade", "base", **unmigrated)
    assert "is at none now" in back.out
    assert "`DROP SCHEMA dagster CASCADE`" in " ".join(back.out.splitlines()[-1:])
    assert typed("status", **unmigrated).code == 4
    unknown = typed("migrate", "--downgrade", "9999", **unmigrated)
    assert unknown.code == 8
    assert unknown.err.count("\n") == 1
    assert unknown.out == "", "the sentence names the database"
