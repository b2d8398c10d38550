"""Alerts are kept and told once for each change, on a real database and a real receiver."""

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from batch_assets.domain.alerts.records import CheckOutcome, Severity
from batch_assets.stages.alerting import AlertReport, Receiver, evaluate, look
from batch_assets.store.alerts import Alerts
from batch_assets.store.counting import Tally, count_statements, counted_into
from batch_assets.webhook.client import Webhook
from batch_assets_tests.factories import make_run_metric
from batch_assets_tests.openai_batch.scripted_server import Reply, ScriptedServer
from batch_assets_tests.policies import some_limits

LIMITS = some_limits()
TOKEN = "canary-51aa"
WELL = {"completed_requests": 100, "dead_letters": 0, "open_breakers": 0}
FAILING = {**WELL, "failed_requests": 100}


@pytest.fixture
def engine(emptied_engine: Engine) -> Engine:
    count_statements(emptied_engine)
    return emptied_engine


@pytest.fixture
def alerts(engine: Engine) -> Alerts:
    return Alerts(engine)


@pytest.fixture
def server(listening_server: tuple[ScriptedServer, str]) -> ScriptedServer:
    listening_server[0].answer(Reply())
    return listening_server[0]


@pytest.fixture
def receiver(server: ScriptedServer, listening_server: tuple[ScriptedServer, str]) -> Receiver:
    webhook = Webhook(f"{listening_server[1]}/{TOKEN}", timeout_seconds=0.3)
    return Receiver(webhook, "run-7", "http://127.0.0.1:3000/")


def record(engine: Engine, **figures: float | None) -> None:
    with engine.begin() as connection:
        make_run_metric(connection, figures)


def age(engine: Engine, minutes: float) -> None:
    """Let so much time pass."""
    for table, columns in (
        ("run_metric", ("recorded_at",)),
        ("alert", ("since", "notified_at", "claimed_until")),
    ):
        passed = ", ".join(
            f"{column} = {column} - make_interval(secs => :seconds)" for column in columns
        )
        with engine.begin() as connection:
            connection.execute(
                text(f"UPDATE batch_assets.{table} SET {passed}"), {"seconds": minutes * 60}
            )


def told(server: ScriptedServer) -> list[tuple[str, str]]:
    """What the receiver was sent: each alert's name and state."""
    return [(body["name"], body["state"]) for body in bodies(server)]


def bodies(server: ScriptedServer) -> list[dict[str, Any]]:
    return [json.loads(call.body) for call in server.calls]


def test_a_change_is_told_once_with_all_that_helps(
    alerts: Alerts, engine: Engine, server: ScriptedServer, receiver: Receiver
) -> None:
    record(engine, **FAILING)
    began = datetime.now(UTC)
    first = evaluate(alerts, LIMITS, receiver=receiver)
    assert (len(first.changed), first.told, first.untold, first.failure) == (1, 1, 0, None)
    second = evaluate(alerts, LIMITS, receiver=receiver)
    assert (len(second.changed), second.told) == (0, 0)
    (body,) = bodies(server)
    recent = alerts.recent(60)
    since = body.pop("since")
    assert abs(datetime.fromisoformat(since) - began) < timedelta(minutes=1)
    event_id = body.pop("event_id")
    assert len(event_id) == 36
    advice = body.pop("what_to_do")
    assert "`batch-assets dead-letters list --newer-than 2h`" in advice
    summary = (
        "Of the 200 requests that were answered within the last 60 minutes, 100 have failed: "
        "50.0 % (at most 10 %)."
    )
    assert body == {
        "name": "error_rate",
        "state": "raised",
        "severity": "ERROR",
        "summary": summary,
        "behind": [],
        "installation_id": recent.installation_id,
        "database": recent.database,
        "run_id": "run-7",
        "run_url": "http://127.0.0.1:3000/runs/run-7",
        "text": (
            f"[ERROR] error_rate raised on {recent.database}: {summary}\n{advice}\n"
            "http://127.0.0.1:3000/runs/run-7"
        ),
    }


def test_that_it_is_over_is_told_once(
    alerts: Alerts, engine: Engine, server: ScriptedServer, receiver: Receiver
) -> None:
    record(engine, **FAILING)
    evaluate(alerts, LIMITS, receiver=receiver)
    age(engine, 90)
    unknown = evaluate(alerts, LIMITS, receiver=receiver)
    assert [one.name for one in unknown.verdicts if one.is_raised] == ["error_rate"]
    record(engine, **WELL)
    for _ in range(2):
        evaluate(alerts, LIMITS, receiver=receiver)
    assert told(server) == [("error_rate", "raised"), ("error_rate", "resolved")]
    raised, resolved = bodies(server)
    assert raised["event_id"] != resolved["event_id"]
    assert resolved["what_to_do"] == ""
    assert "It was raised at " in resolved["summary"]


@pytest.mark.parametrize(
    "reply", [Reply(500), Reply(302, headers={"location": "/"}), Reply(drop="unanswered")]
)
def test_what_was_not_delivered_is_told_by_the_next_run_with_the_same_id(
    alerts: Alerts, engine: Engine, server: ScriptedServer, receiver: Receiver, reply: Reply
) -> None:
    record(engine, **FAILING, failed_batches=1)
    server.answer(reply)
    failed = evaluate(alerts, LIMITS, receiver=receiver)
    assert (failed.told, failed.untold) == (0, 2)
    assert failed.failure
    assert TOKEN not in repr(failed)
    assert len(server.calls) == 1, "the second one would have taken as long to fail"
    tried = bodies(server)
    server.answer(Reply())
    again = evaluate(alerts, LIMITS, receiver=receiver)
    assert (len(again.changed), again.told, again.untold) == (0, 2, 0)
    assert told(server) == [("error_rate", "raised"), ("failed_batch", "raised")]
    assert bodies(server)[0]["event_id"] == tried[0]["event_id"]
    assert evaluate(alerts, LIMITS, receiver=receiver).told == 0


def test_two_runs_at_once_tell_once(
    alerts: Alerts, engine: Engine, server: ScriptedServer, receiver: Receiver
) -> None:
    record(engine, **FAILING, failed_batches=1)
    # Long enough for the other run to have seen the same meanwhile.
    server.answer(Reply(delay=0.1))
    reports: list[AlertReport] = []
    start = threading.Barrier(4)

    def run() -> None:
        start.wait()
        reports.append(evaluate(alerts, LIMITS, receiver=receiver))

    running = [threading.Thread(target=run) for _ in range(4)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    assert sorted(told(server)) == [("error_rate", "raised"), ("failed_batch", "raised")]
    assert sum(report.told for report in reports) == 2
    assert not any(report.untold for report in reports)


def test_what_was_raised_before_somebody_listened_is_told_then(
    alerts: Alerts, engine: Engine, server: ScriptedServer, receiver: Receiver
) -> None:
    record(engine, **FAILING)
    assert evaluate(alerts, LIMITS).told == 0
    assert evaluate(alerts, LIMITS, receiver=receiver).told == 1


def test_a_check_that_was_evaluated_elsewhere_is_told_of(
    alerts: Alerts, engine: Engine, server: ScriptedServer, receiver: Receiver
) -> None:
    broken = CheckOutcome("open_rows_conserved", False, Severity.ERROR, "batch_counters: 1.")
    for outcomes in ([broken], [broken], [], [CheckOutcome(broken.name, True, Severity.WARN, "")]):
        report = evaluate(alerts, LIMITS, outcomes=outcomes, receiver=receiver)
        assert broken.name not in {verdict.name for verdict in report.verdicts}
    assert told(server) == [(broken.name, "raised"), (broken.name, "resolved")]
    assert bodies(server)[0]["summary"] == "batch_counters: 1."


def test_a_name_is_no_command_to_whoever_shows_it(
    alerts: Alerts, engine: Engine, server: ScriptedServer, receiver: Receiver
) -> None:
    outcome = CheckOutcome("all_rows_conserved", False, Severity.ERROR, "<!channel> & Zorg")
    evaluate(alerts, LIMITS, outcomes=[outcome], receiver=receiver)
    (body,) = bodies(server)
    assert body["summary"] == "\u2039!channel\u203a & Zorg"
    assert "\u2039!channel\u203a &amp; Zorg" in body["text"]
    assert "<" not in body["text"]


def test_statements_are_few(
    alerts: Alerts, engine: Engine, server: ScriptedServer, receiver: Receiver
) -> None:
    def statements(act: Callable[[], object]) -> int:
        tally = Tally()
        with counted_into(tally):
            act()
        return tally.statements

    def run() -> None:
        evaluate(alerts, LIMITS, receiver=receiver)

    record(engine, **WELL)
    assert statements(run) == 1
    record(engine, **FAILING)
    assert statements(run) == 5, "look, who is behind it, keep, claim, note"
    assert statements(run) == 2
    assert statements(lambda: look(alerts, LIMITS)) == 2


def test_a_day_of_runs_tells_of_each_change_once(
    alerts: Alerts, engine: Engine, server: ScriptedServer, receiver: Receiver
) -> None:
    """Every 20 minutes a run: a breaker is open from 6 to 7, and from 10 on too many requests fail,
    while the receiver is away; from 12 to 14 their rate moves about its limit.
    """
    delivered: list[tuple[str, str]] = []
    for run in range(24 * 3):
        hour = run // 3
        failed = {10: 30, 11: 30, 12: 9 + run % 2 * 2, 13: 9 + run % 2 * 2}.get(hour, 0)
        server.answer(Reply(500) if hour == 10 else Reply())
        record(
            engine,
            completed_requests=100 - failed,
            failed_requests=failed,
            open_breakers=int(hour == 6),
        )
        report = evaluate(alerts, LIMITS, receiver=receiver)
        assert len(server.calls) <= 1
        delivered += told(server)[: report.told]
        age(engine, 20)
    assert delivered == [
        ("open_breaker", "raised"),
        ("open_breaker", "resolved"),
        ("error_rate", "raised"),
        ("error_rate", "resolved"),
    ]
    assert not any(state.is_untold for state in alerts.recent(60).states.values())
