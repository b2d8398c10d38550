"""The commands that steer: what they print, ask, and refuse; `--json` is one document."""

import json
from dataclasses import asdict
from typing import Any

import pytest
from sqlalchemy import Engine, text

from batch_assets.cli.app import load
from batch_assets.domain.errors import Failure, FailureKind
from batch_assets.domain.policy import Cooldown
from batch_assets.openai_batch.client import BatchApi
from batch_assets.openai_batch.operations import Operation
from batch_assets.store.breakers import Breakers
from batch_assets.store.dagster_schema import create_dagster_schema
from batch_assets.store.registry import Registry
from batch_assets.store.strategy import CompareLimits
from batch_assets_local.batch_server import RunningServer, ServerConfig
from batch_assets_local.batch_server.config import Timing
from batch_assets_tests.cli.conftest import KEY, Outcome, Type
from batch_assets_tests.cli.test_errors import assert_one_sentence
from batch_assets_tests.factories import make_company, make_requests
from batch_assets_tests.policies import a_policy
from batch_assets_tests.stages.support import wait_until

NAME = "Zorggroep [bold]Oost"


@pytest.fixture
def type_(typed: Type, configured: dict[str, str], engine: Engine) -> Type:
    """Types a command on a database with three waiting requests of a company."""
    create_dagster_schema(configured["DATABASE_URL"])
    with engine.begin() as connection:
        make_requests(connection, make_company(connection, name=NAME), 3)
        connection.execute(
            text("UPDATE batch_assets.installation SET confirmed_at = CURRENT_TIMESTAMP")
        )

    def type_here(*arguments: str, **environ: str) -> Outcome:
        return typed(*arguments, **{**configured, **environ})

    return type_here


def document(outcome: Outcome) -> dict[str, Any]:
    assert (outcome.code, outcome.err) == (0, "")
    read = json.loads(outcome.out)
    assert isinstance(read, dict)
    return read


def test_force_and_cancel(type_: Type, api: RunningServer) -> None:
    timing = Timing.instant().model_copy(update={"hold_after_rows": 1})
    api.set_config(ServerConfig.model_validate({"timing": timing}))
    planned = document(type_("force", NAME, "--dry-run", "--json"))
    assert [one["requests"] for one in planned["would_send"]] == [3]
    assert (planned["requests"], planned["batches"]) == (3, 1)
    assert planned["estimated_tokens"] == planned["would_send"][0]["tokens"] > 0
    assert "Would send 3 requests of " + NAME in type_("force", NAME, "--dry-run").out
    assert_one_sentence(type_("force", "nobody", "--yes"), 2, "No company has the id")
    asked = type_("force", NAME)
    assert asked.code == 2
    assert "There is no terminal to ask on" in asked.err
    assert document(type_("status", "--json"))["open_batches"] == []

    sent = document(type_("force", NAME, "--yes", "--json", "--max-requests", "2"))
    assert (sent["requests"], sent["batches"], sent["company"]) == (2, 1, NAME)
    (batch_id,) = [one["batch_id"] for one in sent["batches_sent"]]
    status = document(type_("status", "--json"))
    assert [(one["state"], one["requests"]) for one in status["open_batches"]] == [("submitted", 2)]
    said = type_("status").out
    assert "Batches: 1 submitted (2 requests, the oldest" in said
    assert f"old: {batch_id})." in said, "what to ask `batch-assets batch` for"

    with_id = type_("cancel", "nobody", "--yes")
    assert_one_sentence(with_id, 2, "No batch has the id 'nobody'")
    assert type_("cancel", batch_id, "--dry-run").out.rstrip().endswith("Nothing was changed.")
    assert "no terminal" in type_("cancel", batch_id).err
    cancelled = document(type_("cancel", batch_id, "--yes", "--json"))
    assert cancelled["batch"]["id"] == batch_id
    assert cancelled["batch"]["cancelled_at"] is not None
    assert cancelled["server_status"] in {"cancelling", "cancelled"}

    shown = type_("batch", batch_id)
    assert NAME in shown.out
    assert "submitted (the server says" in shown.out
    assert "Requests: 2 (2 open)" in shown.out


def test_abandon(type_: Type, api: RunningServer, engine: Engine) -> None:
    timing = Timing.instant().model_copy(update={"hold_after_rows": 0})
    held = {"timing": timing, "quirks": {"batch_list_lag_seconds": 3_600}}
    api.set_config(ServerConfig.model_validate(held))
    sent = document(type_("force", NAME, "--yes", "--json"))
    (batch_id,) = [one["batch_id"] for one in sent["batches_sent"]]
    assert_one_sentence(type_("abandon", batch_id, "--yes"), 1, "give a shorter --older-than")
    assert_one_sentence(type_("abandon", batch_id, "--older-than", "soon"), 2, "--older-than is")
    now = ("abandon", batch_id, "--older-than", "0m")
    assert_one_sentence(type_(*now, "--yes"), 1, "`batch-assets cancel` ends it")

    unknown = {"operation": "batches.retrieve", "effect": {"kind": "answer", "status": 404}}
    api.set_config(ServerConfig.model_validate(held | {"calls": [unknown]}))
    assert type_(*now, "--dry-run").out.rstrip().endswith("Nothing was changed.")
    asked = type_(*now)
    assert "that work is paid for twice" in asked.out
    assert f"type `batch-assets abandon {batch_id} --older-than '0m' --yes`" in asked.err
    with engine.begin() as connection:
        assert connection.execute(text("SELECT state FROM batch_assets.batch")).scalar_one() == (
            "submitted"
        )
    given_up = document(type_(*now, "--yes", "--json"))
    assert (given_up["batch"]["server_status"], given_up["listed_ours"]) == ("lost", 0)
    assert "ended (given up: the server did not know it)" in type_("batch", batch_id).out


def test_abandon_by_force(type_: Type, api: RunningServer, engine: Engine) -> None:
    timing = Timing.instant().model_copy(update={"finalizing_seconds": 10_000_000})
    api.set_config(ServerConfig.model_validate({"timing": timing}))
    sent = document(type_("force", NAME, "--yes", "--json"))
    (batch_id,) = [one["batch_id"] for one in sent["batches_sent"]]
    openai_id = document(type_("batch", batch_id, "--json"))["openai_batch_id"]
    with BatchApi(KEY, api.base_url) as client:
        wait_until(lambda: client.retrieve(openai_id).status == "finalizing")
    with engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE batch_assets.batch SET server_status = 'finalizing',"
                " server_status_since = clock_timestamp() - interval '5 days',"
                " submitted_at = clock_timestamp() - interval '5 days'"
            )
        )
    refused = type_("abandon", batch_id, "--yes")
    assert_one_sentence(refused, 1, f"abandon {batch_id} --force` gives it up")
    force = ("abandon", batch_id, "--force")
    shown = type_(*force, "--dry-run").out
    assert "has been finalizing on the server for 5 d. Giving it up lets its 3 requests" in shown
    assert "is billed as well: up to as much again" in shown
    assert f"batch-assets {' '.join(force)}" in type_(*force).err, "what to type without a terminal"
    given_up = document(type_(*force, "--yes", "--json"))
    assert (given_up["force"], given_up["batch"]["server_status"]) == (True, "abandoned")
    assert given_up["duplicate_cost_eur"] > 0
    shown = type_("batch", batch_id).out
    assert "ended (given up: it did not end, or could not be read)" in shown
    assert "Abandoned:" in shown
    assert "Batches that were given up brought nothing so far; 1 of them is" in type_("status").out
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE batch_assets.abandoned_batch SET answers = 3, wasted_cost_eur = 0.5")
        )
    assert "brought 3 answers too late: 0.5000 EUR are wasted" in type_("status").out
    abandoned = document(type_("status", "--json"))["abandoned"]
    assert abandoned == {"looked_for": 1, "answers": 3, "wasted_cost_eur": 0.5}
    assert "Waste: 3 answers after it was given up, 0.5000 EUR" in type_("batch", batch_id).out


def test_status_says_what_is_looked_at_again(
    type_: Type, api: RunningServer, engine: Engine
) -> None:
    timing = Timing.instant().model_copy(update={"hold_after_rows": 0})
    api.set_config(ServerConfig.model_validate({"timing": timing}))
    document(type_("force", NAME, "--yes", "--json"))
    assert "looked at again" not in type_("status").out
    with engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE batch_assets.batch SET state = 'ended', server_status = 'completed',"
                " ended_at = clock_timestamp(), incomplete_since = clock_timestamp()"
            )
        )
    said = " ".join(type_("status").out.split())
    assert "Of the ended, 1 batch is looked at again: the server has not shown all" in said
    assert document(type_("status", "--json"))["open_batches"][0]["incomplete"] == 1


def test_a_refused_account_is_one_sentence(type_: Type, api: RunningServer) -> None:
    refusal = {"operation": "files.create", "effect": {"kind": "answer", "status": 403}}
    api.set_config({"calls": [refusal]})
    assert_one_sentence(type_("force", NAME, "--yes"), 5, "The API refuses the account")


def test_mode(type_: Type) -> None:
    assert type_("mode").out == (
        "Runs use the optimized queries while they are faster and succeed: "
        "ENABLE_BATCH_OPTIMIZATION says true.\n"
    )
    chosen = type_("mode", "false").out
    assert chosen.startswith("Runs use the original queries: a stored choice (")
    assert chosen.endswith(
        ") says false, which goes before ENABLE_BATCH_OPTIMIZATION, which says true.\n"
    )
    read = document(type_("mode", "--json"))
    assert (read["mode"], read["stored"]["mode"], read["environment"]) == ("false", "false", "true")
    assert document(type_("status", "--json"))["mode"] == "false"
    assert document(type_("mode", "auto", "--json"))["mode"] == "true"
    assert_one_sentence(type_("mode", "quick"), 2, "There is no mode 'quick': it is one of true,")
    assert document(type_("mode", "environment", "--json"))["stored"] is None


def test_compare(type_: Type) -> None:
    shown = type_("compare")
    assert shown.code == 0
    assert "statistics" in shown.out
    compared = document(type_("compare", "--json", "--rows", "10"))["compared"]
    assert {one["result"] for one in compared} == {"same"}
    assert_one_sentence(type_("compare", "--seconds", "900"), 2, "--seconds is 900")


def test_reset(type_: Type, engine: Engine) -> None:
    failure = Failure(FailureKind.TRANSIENT, "timeout", "no answer in time")
    Breakers(engine).count(Operation.UPLOAD, failure, a_policy(breaker_failures=1), None)
    assert "Calls of upload would be made again." in type_("reset", "--dry-run").out
    closed = document(type_("reset", "upload", "--json"))
    assert closed == {
        "dry_run": False,
        "operations": ["upload"],
        "account_resumed": False,
        "schedule_resumed": False,
    }
    Registry(engine, 900).cool_account(Cooldown(600, 600, "insufficient_quota"))
    assert "Batches would be submitted again" in type_("reset", "account", "--dry-run").out
    assert "the account is in cooldown no longer" in type_("reset", "account").out
    assert "Nothing to do" in type_("reset").out


def test_the_limits_of_a_comparison_are_those_of_its_options() -> None:
    command = load("compare")
    options = {str(one.name): one.default for one in command.params}
    assert asdict(CompareLimits()).items() <= options.items()


def test_a_batch_says_what_its_answers_are_priced_at(type_: Type) -> None:
    environ = {"BATCH_MODEL_PRICES": "gpt-4o-mini=2/0.5/8"}
    (sent,) = document(type_("force", NAME, "--yes", "--json", **environ))["batches_sent"]
    words = " ".join(type_("batch", sent["batch_id"]).out.split())
    assert "1/0.25/4 USD a million tokens (fresh and cached input, output), from setting" in words
    shown = document(type_("batch", sent["batch_id"], "--json"))
    assert (shown["price"]["source"], shown["cost_usd"]) == ("setting", None)


def test_what_is_free_is_said_to_cost_nothing(type_: Type, api: RunningServer) -> None:
    api.set_config(ServerConfig.instant())
    environ = {"BATCH_MODEL_PRICES": "gpt-4o-mini=free"}
    (sent,) = document(type_("force", NAME, "--yes", "--json", **environ))["batches_sent"]
    for _ in range(3):
        assert type_("run", **environ).code == 0
    assert "nothing: its model is free" in type_("batch", sent["batch_id"]).out
    totals = document(type_("status", "--json", **environ))["totals"]
    assert (totals["complete"], totals["unpriced"], totals["cost_eur"]) == (3, 0, 0)
