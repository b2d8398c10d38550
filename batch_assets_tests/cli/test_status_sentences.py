"""What is stopped for a while: `batch-assets status` shows it, `batch-assets reset` ends it."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from batch_assets.domain.errors import Failure, FailureKind
from batch_assets.domain.policy import Cooldown
from batch_assets.openai_batch.client import BatchApi
from batch_assets.openai_batch.operations import Operation
from batch_assets.openai_batch.profiles import DEFAULT_BASE_URL
from batch_assets.store.breakers import Breakers, Cooldowns, SchedulerCooldown
from batch_assets.store.registry import Registry
from batch_assets.store.strategy import choose_queries
from batch_assets_tests.cli.conftest import KEY, Type
from batch_assets_tests.policies import a_policy
from batch_assets_tests.store.queries.support import Desk

FAILURE = Failure(FailureKind.TRANSIENT, "timeout", "no answer in time")
ONE = a_policy(breaker_failures=1)


@pytest.fixture
def configured(database_url: str, tmp_path: Path) -> dict[str, str]:
    return {
        "DATABASE_URL": database_url,
        "OPENAI_API_KEY": KEY,
        "BATCH_SPOOL_DIR": str(tmp_path / "spool"),
    }


@pytest.fixture
def stopped(engine: Engine, configured: dict[str, str]) -> dict[str, str]:
    """An open breaker, one that is due for a trial, a closed one, and two cooldowns."""
    breakers = Breakers(engine)
    breakers.count(Operation.CREATE_BATCH, FAILURE, ONE, None)
    breakers.count(Operation.UPLOAD, FAILURE, a_policy(breaker_failures=1, breaker_seconds=0), None)
    breakers.count(Operation.CANCEL_BATCH, FAILURE, a_policy(), None)
    Registry(engine, 900).cool_model("gpt-4o-mini", Cooldown(600, 600, "rate_limit_exceeded"))
    until = datetime.now(UTC) + timedelta(minutes=30)
    Cooldowns(engine).cool_scheduler(SchedulerCooldown(5, until, "The last 5 runs have failed"))
    return configured


def test_status_shows_what_is_stopped(typed: Type, stopped: dict[str, str]) -> None:
    said = typed("status", **stopped).out
    words = " ".join(said.split())
    assert "Schedule and sensors are in cooldown until 20" in words
    assert "UTC: the last 5 runs have failed. `batch-assets reset` ends it." in words
    assert "No create_batch: the last call failed (timeout) and none is made before" in words
    assert "`batch-assets reset create_batch` allows them at once." in words
    assert "The next upload is on trial: the last call failed (timeout)." in words
    assert "gpt-4o-mini is in cooldown until 20" in words
    assert "UTC (rate_limit_exceeded): none of its requests is sent before." in words
    assert "cancel_batch" not in words


def test_status_as_json_holds_the_same(typed: Type, stopped: dict[str, str]) -> None:
    document = json.loads(typed("status", "--json", **stopped).out)
    assert [(one["operation"], one["state"]) for one in document["breakers"]] == [
        ("create_batch", "open"),
        ("upload", "open"),
    ]
    assert [one["model"] for one in document["models_in_cooldown"]] == ["gpt-4o-mini"]
    assert document["schedule_cooldown"]["failed_runs"] == 5
    assert datetime.fromisoformat(document["schedule_cooldown"]["until"]) > datetime.now(UTC)


def test_reset_ends_all_of_it_and_says_so(typed: Type, stopped: dict[str, str]) -> None:
    outcome = typed("reset", **stopped)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.splitlines() == [
        "Calls of create_batch are made again.",
        "Calls of upload are made again.",
        "Schedule and sensors start runs again.",
    ]
    document = json.loads(typed("status", "--json", **stopped).out)
    assert (document["breakers"], document["schedule_cooldown"]) == ([], None)
    again = typed("reset", "--all", **stopped)
    assert (again.code, again.out) == (0, "Nothing to do: nothing was stopped.\n")


def test_reset_of_some_leaves_the_others(typed: Type, stopped: dict[str, str]) -> None:
    assert typed("reset", "upload", **stopped).out == "Calls of upload are made again.\n"
    document = json.loads(typed("status", "--json", **stopped).out)
    assert [one["operation"] for one in document["breakers"]] == ["create_batch"]
    assert document["schedule_cooldown"] is not None


def test_reset_knows_the_operations(typed: Type, configured: dict[str, str]) -> None:
    outcome = typed("reset", "uploads", **configured)
    assert outcome.code == 2
    said = "There is no uploads to reset: name account or an operation, which are cancel_batch,"
    assert outcome.err.startswith(said)
    assert outcome.err.count("\n") == 1
    assert all(operation in outcome.err for operation in Operation)
    assert typed("reset", "upload", "--all", **configured).code == 2


def test_status_asks_about_a_price_of_0_until_it_is_answered(
    typed: Type, configured: dict[str, str], engine: Engine
) -> None:
    with engine.begin() as connection:
        connection.execute(
            text(
                'INSERT INTO public."AIModel" (id, name, provider, "isActive", "updatedAt")'
                " VALUES ('model', 'ours', 'openai', true, now())"
            )
        )
        connection.execute(
            text(
                'INSERT INTO public."AIModelPricing" (id, "aiModelId", "promptTokenCost",'
                ' "completionTokenCost", "effectiveFrom") VALUES ('
                "'price', 'model', 0, 0, now() - interval '1 day')"
            )
        )
    asked = "LiveDash's price of ours is 0. If it costs nothing, set BATCH_MODEL_PRICES to"
    assert asked in " ".join(typed("status", **configured).out.split())
    document = json.loads(typed("status", "--json", **configured).out)
    assert document["models_with_a_price_of_0"] == ["ours"]
    answered = configured | {"BATCH_MODEL_PRICES": "ours=free"}
    assert "LiveDash's price of" not in typed("status", **answered).out
    document = json.loads(typed("status", "--json", **answered).out)
    assert document["models_with_a_price_of_0"] == []


@pytest.fixture
def hour(engine: Engine, configured: dict[str, str]) -> dict[str, str]:
    """Two batches of this hour, one of them of another account, and a model with tokens."""
    (account, _) = accounts = (_account(configured), "another")
    desk = Desk(engine, choose_queries(engine, optimized=True))
    for one in accounts:
        batch, _ = desk.claimed(2)
        desk.do(
            "UPDATE batch_assets.batch SET account = :account WHERE id = :id",
            account=one,
            id=batch.id,
        )
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO batch_assets.allowance (account, model, most, refused_at)"
                " VALUES (:account, 'gpt-4o-mini', 1, clock_timestamp() - interval '5 minutes'),"
                " ('another', '', 1, clock_timestamp())"
            ),
            {"account": account},
        )
    return configured


def _account(configured: dict[str, str]) -> str:
    return BatchApi(configured["OPENAI_API_KEY"], DEFAULT_BASE_URL).account


def test_status_says_what_an_account_may_still_be_asked_for(
    typed: Type, hour: dict[str, str]
) -> None:
    words = " ".join(typed("status", **hour).out.split())
    assert (
        "Batches an hour: 1 of 2,000 are created, and 1,999 more may be now. That is a first "
        "guess, BATCH_HOURLY_BATCHES's default: the server has refused nothing." in words
    )
    assert "of 1 are enqueued: what is due of this model waits until batches of it end" in words
    assert "The server refused more at 20" in words


def test_status_says_until_when_the_hour_holds(typed: Type, hour: dict[str, str]) -> None:
    words = " ".join(typed("status", BATCH_HOURLY_BATCHES="1", **hour).out.split())
    assert "Batches an hour: 1 of 1 are created: no other batch is created before 20" in words
    assert "UTC, and what is due waits. BATCH_HOURLY_BATCHES says so." in words


def test_status_as_json_holds_the_allowances(typed: Type, hour: dict[str, str]) -> None:
    document = json.loads(typed("status", "--json", BATCH_HOURLY_BATCHES="1", **hour).out)
    batches, tokens = document["allowances"]
    until = datetime.fromisoformat(batches.pop("possible_at")) - datetime.now(UTC)
    assert timedelta(minutes=58) < until <= timedelta(hours=1)
    assert batches == {
        "what": "batches_an_hour",
        "model": None,
        "allowed": 1,
        "in_use": 1,
        "left": 0,
        "source": "setting",
        "setting": "BATCH_HOURLY_BATCHES",
        "refused_at": None,
        "holds": True,
    }
    assert (tokens["model"], tokens["allowed"], tokens["source"]) == ("gpt-4o-mini", 1, "learnt")
    assert (tokens["left"], tokens["holds"]) == (0, True)
    assert datetime.fromisoformat(tokens["refused_at"]) < datetime.now(UTC)
