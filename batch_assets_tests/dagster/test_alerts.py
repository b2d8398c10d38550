"""The job evaluates every check whatever else fails, tells each receiver, and shows no secret."""

import json
from collections.abc import Callable
from functools import partial

import dagster as dg
import pytest
from sqlalchemy import Engine, text

from batch_assets.domain.alerts.rules import RULES
from batch_assets_local.batch_server import RunningServer
from batch_assets_tests.dagster.conftest import RunJob
from batch_assets_tests.dagster.reading import (
    evaluations,
    everything_stored,
    failed_ops,
    metadata_of,
)
from batch_assets_tests.factories import make_company, make_requests, make_run_metric
from batch_assets_tests.openai_batch.scripted_server import Reply, ScriptedServer
from batch_assets_tests.receivers.pagerduty_server import PagerDutyServer

Run = Callable[..., dg.ExecuteInProcessResult]

TOKEN = "canary-77b0"


@pytest.fixture
def receiver(listening_server: tuple[ScriptedServer, str]) -> ScriptedServer:
    listening_server[0].answer(Reply())
    return listening_server[0]


@pytest.fixture
def run(
    run_job: RunJob,
    database_url: str,
    api: RunningServer,
    receiver: ScriptedServer,
    listening_server: tuple[ScriptedServer, str],
) -> Run:
    environ = {
        "BATCH_ALERT_WEBHOOK_URL": f"{listening_server[1]}/{TOKEN}",
        "BATCH_UI_URL": "https://dagster.example",
    }
    return partial(run_job, database_url, base_url=api.base_url, environ=environ)


def record(engine: Engine, **metrics: float | None) -> None:
    with engine.begin() as connection:
        make_run_metric(connection, metrics)


def delivered(receiver: ScriptedServer) -> list[dict[str, object]]:
    return [json.loads(call.body) for call in receiver.calls]


def test_every_check_is_evaluated_and_a_change_is_delivered(
    run: Run, engine: Engine, receiver: ScriptedServer, instance: dg.DagsterInstance
) -> None:
    first = run()
    assert first.success
    said = evaluations(first)
    assert said.keys() == {*RULES, "open_rows_conserved"}
    assert all(one.passed for one in said.values())
    assert {
        name: one.asset_key.to_user_string() for name, one in said.items() if name in RULES
    } == {name: rule.asset for name, rule in RULES.items()}
    assert metadata_of(first, "evaluate_checks") == {
        "raised": "none",
        "changed_alerts": 0,
        "delivered_alerts": 0,
        "pending_alerts": 0,
        "told_alerts": 0,
        "untold_alerts": 0,
    }
    assert receiver.calls == []
    calm = {name: entry.value for name, entry in said["error_rate"].metadata.items()}
    assert (calm["what_to_do"], calm["behind"]) == ("Nothing.", "Nothing.")
    assert calm["behind_it"] == calm["behind"], "its former name"

    record(engine, completed_requests=10, failed_requests=90)
    second = run()
    assert second.success
    failed = evaluations(second)["error_rate"]
    assert (failed.passed, failed.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert "90.0 % (at most 10 %)" in str(failed.description)
    shown = {name: entry.value for name, entry in failed.metadata.items()}
    assert (shown["error_rate_percent"], shown["threshold_percent"]) == (90.0, "10")
    assert "`batch-assets dead-letters list" in str(shown["what_to_do"])
    assert shown.keys() == evaluations(first)["error_rate"].metadata.keys()
    assert metadata_of(second, "evaluate_checks")["delivered_alerts"] == 1
    record(engine)
    third = run()
    assert evaluations(third).keys() == said.keys()
    assert not evaluations(third)["error_rate"].passed
    (body,) = delivered(receiver)
    assert (body["name"], body["run_id"]) == ("error_rate", second.run_id)
    assert body["run_url"] == f"https://dagster.example/runs/{second.run_id}"
    for one in (first, second, third):
        assert TOKEN not in everything_stored(instance, one.run_id)


def test_the_receiver_may_fail_and_the_run_does_not(
    run: Run, engine: Engine, receiver: ScriptedServer, instance: dg.DagsterInstance
) -> None:
    record(engine, failed_batches=1)
    receiver.answer(Reply(500))
    away = run()
    assert away.success
    assert metadata_of(away, "evaluate_checks")["pending_alerts"] == 1
    stored = everything_stored(instance, away.run_id)
    assert "1 alerts could not be delivered to the receiver webhook (it answered 500)" in stored
    assert TOKEN not in stored
    receiver.answer(Reply())
    assert metadata_of(run(), "evaluate_checks")["delivered_alerts"] == 1
    with engine.connect() as connection:
        kept = connection.execute(text("SELECT a.* FROM batch_assets.alert AS a")).all()
    assert TOKEN not in str(kept)


def test_a_key_that_pagerduty_refuses_is_said_once_and_shown_nowhere(
    run_job: RunJob,
    database_url: str,
    api: RunningServer,
    engine: Engine,
    instance: dg.DagsterInstance,
) -> None:
    key = "canary00" * 4
    server = PagerDutyServer("e93facc04764012d7bfb002500d5d1a6")
    record(engine, failed_batches=1)
    with server.listening() as url:
        environ = {
            "BATCH_ALERT_PAGERDUTY_ROUTING_KEY": key,
            "BATCH_ALERT_PAGERDUTY_URL": url,
        }
        runs = [run_job(database_url, base_url=api.base_url, environ=environ) for _ in range(2)]
    stored = [everything_stored(instance, one.run_id) for one in runs]
    assert all(one.success for one in runs)
    assert "1 alerts were refused by the receiver pagerduty (it answered 400: see " in stored[0]
    assert "refused by the receiver" not in stored[1]
    assert key not in stored[0] + stored[1]
    assert metadata_of(runs[0], "evaluate_checks")["pending_alerts"] == 0
    assert server.refusals == ["Invalid routing key"]


def test_rows_that_are_not_conserved_are_reported(
    run: Run, engine: Engine, receiver: ScriptedServer
) -> None:
    with engine.begin() as connection:
        make_requests(connection, make_company(connection), 10)
    run()
    with engine.begin() as connection:
        connection.execute(text("UPDATE batch_assets.batch SET completed = completed + 1"))
    run()
    (body,) = delivered(receiver)
    assert (body["name"], body["state"]) == ("open_rows_conserved", "raised")
    assert "batch_counters: 1." in str(body["summary"])
    with engine.begin() as connection:
        connection.execute(text("UPDATE batch_assets.batch SET completed = completed - 1"))
    run()
    assert [one["state"] for one in delivered(receiver)] == ["raised", "resolved"]


def test_they_are_evaluated_after_a_run_that_fails(
    run_job: RunJob, database_url: str, engine: Engine, instance: dg.DagsterInstance
) -> None:
    record(engine, open_breakers=1)
    with engine.begin() as connection:
        make_requests(connection, make_company(connection), 10)
    result = run_job(database_url)  # with no server to send to
    assert failed_ops(result) & {"check_batch_statuses", "submit_batches"}
    assert not evaluations(result, instance)["open_breaker"].passed


def test_checks_can_be_asked_by_themselves_and_nobody_is_told(
    run: Run, engine: Engine, receiver: ScriptedServer
) -> None:
    record(engine, failed_batches=2, completed_requests=100)
    result = run(job_name="__ASSET_JOB", checks=["failed_batch", "error_rate"])
    assert result.success
    said = evaluations(result)
    assert {name: one.passed for name, one in said.items()} == {
        "failed_batch": False,
        "error_rate": True,
    }
    assert receiver.calls == []
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM batch_assets.alert")).scalar() == 0
