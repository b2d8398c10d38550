"""Alerts are kept and each change delivered once, on a real database and to real receivers."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

import pytest
from sqlalchemy import Engine, text

from batch_assets.domain.alerts.records import CheckOutcome, Severity
from batch_assets.domain.budgets import ALL_COMPANIES, Budget, Period
from batch_assets.receivers.pagerduty import PagerDuty
from batch_assets.receivers.receiver import Notification
from batch_assets.receivers.webhook import Webhook
from batch_assets.stages.alerting import AlertReport, Audience, evaluate, look
from batch_assets.store.alerts import Alerts
from batch_assets.store.budgets import StoredBudgets
from batch_assets.store.counting import Tally, count_statements, counted_into
from batch_assets_tests.factories import make_company, make_run_metric
from batch_assets_tests.openai_batch.scripted_server import Reply, ScriptedServer
from batch_assets_tests.policies import some_limits
from batch_assets_tests.receivers.pagerduty_server import PagerDutyServer

LIMITS = some_limits()
TOKEN = "canary-51aa"
KEY = "e93facc04764012d7bfb002500d5d1a6"
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
def audience(server: ScriptedServer, listening_server: tuple[ScriptedServer, str]) -> Audience:
    webhook = Webhook(f"{listening_server[1]}/{TOKEN}", timeout_seconds=1)
    return Audience([webhook], "run-7", "http://127.0.0.1:3000/")


@pytest.fixture
def incidents() -> PagerDutyServer:
    return PagerDutyServer(KEY)


@pytest.fixture
def both(audience: Audience, incidents: PagerDutyServer) -> Iterator[Audience]:
    """The webhook, and PagerDuty."""
    with incidents.listening() as url:
        pagerduty = PagerDuty(KEY, url=url, timeout_seconds=5)
        yield replace(audience, receivers=[*audience.receivers, pagerduty])


def record(engine: Engine, **metrics: float | None) -> None:
    with engine.begin() as connection:
        make_run_metric(connection, metrics)


def age(engine: Engine, minutes: float) -> None:
    """Let so much time pass."""
    for table, columns in (
        ("run_metric", ("recorded_at",)),
        ("alert", ("since",)),
        ("alert_delivery", ("since", "delivered_at", "claimed_until")),
    ):
        passed = ", ".join(
            f"{column} = {column} - make_interval(secs => :seconds)" for column in columns
        )
        with engine.begin() as connection:
            connection.execute(
                text(f"UPDATE batch_assets.{table} SET {passed}"), {"seconds": minutes * 60}
            )


def delivered(server: ScriptedServer) -> list[tuple[str, str]]:
    """What the receiver was sent: each alert's name and state."""
    return [(body["name"], body["state"]) for body in bodies(server)]


def failure_of(report: AlertReport) -> str | None:
    (delivery,) = report.deliveries
    return delivery.failure


def of(audience: Audience) -> dict[str, str]:
    """Their fingerprints, as the database asks for them."""
    return {receiver.name: receiver.fingerprint for receiver in audience.receivers}


def bodies(server: ScriptedServer) -> list[dict[str, Any]]:
    return [json.loads(call.body) for call in server.calls]


def test_a_change_is_delivered_once_with_all_that_helps(
    alerts: Alerts, engine: Engine, server: ScriptedServer, audience: Audience
) -> None:
    record(engine, **FAILING)
    began = datetime.now(UTC)
    first = evaluate(alerts, LIMITS, audience=audience)
    assert (len(first.changed), first.delivered, first.pending) == (1, 1, 0)
    assert failure_of(first) is None
    second = evaluate(alerts, LIMITS, audience=audience)
    assert (len(second.changed), second.delivered) == (0, 0)
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


def test_that_it_is_over_is_delivered_once(
    alerts: Alerts, engine: Engine, server: ScriptedServer, audience: Audience
) -> None:
    record(engine, **FAILING)
    evaluate(alerts, LIMITS, audience=audience)
    age(engine, 90)
    unknown = evaluate(alerts, LIMITS, audience=audience)
    assert [one.name for one in unknown.verdicts if one.is_raised] == ["error_rate"]
    record(engine, **WELL)
    for _ in range(2):
        evaluate(alerts, LIMITS, audience=audience)
    assert delivered(server) == [("error_rate", "raised"), ("error_rate", "resolved")]
    raised, resolved = bodies(server)
    assert raised["event_id"] != resolved["event_id"]
    assert resolved["what_to_do"] == ""
    assert "It was raised at " in resolved["summary"]


@pytest.mark.parametrize(
    "reply", [Reply(500), Reply(302, headers={"location": "/"}), Reply(drop="unanswered")]
)
def test_what_was_not_delivered_is_by_the_next_run_with_the_same_id(
    alerts: Alerts, engine: Engine, server: ScriptedServer, audience: Audience, reply: Reply
) -> None:
    record(engine, **FAILING, failed_batches=1)
    server.answer(reply)
    failed = evaluate(alerts, LIMITS, audience=audience)
    assert (failed.delivered, failed.pending) == (0, 2)
    assert failure_of(failed)
    assert TOKEN not in repr(failed)
    assert len(server.calls) == 1, "the second one would have taken as long to fail"
    tried = bodies(server)
    server.answer(Reply())
    again = evaluate(alerts, LIMITS, audience=audience)
    assert (len(again.changed), again.delivered, again.pending) == (0, 2, 0)
    assert delivered(server) == [("error_rate", "raised"), ("failed_batch", "raised")]
    assert bodies(server)[0]["event_id"] == tried[0]["event_id"]
    assert evaluate(alerts, LIMITS, audience=audience).delivered == 0


def test_two_runs_at_once_deliver_once(
    alerts: Alerts, engine: Engine, server: ScriptedServer, audience: Audience
) -> None:
    record(engine, **FAILING, failed_batches=1)
    # Long enough for the other run to have seen the same meanwhile.
    server.answer(Reply(delay=0.1))
    reports: list[AlertReport] = []
    start = threading.Barrier(4)

    def run() -> None:
        start.wait()
        reports.append(evaluate(alerts, LIMITS, audience=audience))

    running = [threading.Thread(target=run) for _ in range(4)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    assert sorted(delivered(server)) == [("error_rate", "raised"), ("failed_batch", "raised")]
    assert sum(report.delivered for report in reports) == 2
    assert not any(report.pending for report in reports)


def test_what_was_raised_before_somebody_listened_is_delivered_then(
    alerts: Alerts, engine: Engine, server: ScriptedServer, audience: Audience
) -> None:
    record(engine, **FAILING)
    assert evaluate(alerts, LIMITS).delivered == 0
    assert evaluate(alerts, LIMITS, audience=audience).delivered == 1


def test_a_check_that_was_evaluated_elsewhere_is_delivered(
    alerts: Alerts, engine: Engine, server: ScriptedServer, audience: Audience
) -> None:
    broken = CheckOutcome("open_rows_conserved", False, Severity.ERROR, "batch_counters: 1.")
    for outcomes in ([broken], [broken], [], [CheckOutcome(broken.name, True, Severity.WARN, "")]):
        report = evaluate(alerts, LIMITS, outcomes=outcomes, audience=audience)
        assert broken.name not in {verdict.name for verdict in report.verdicts}
    assert delivered(server) == [(broken.name, "raised"), (broken.name, "resolved")]
    assert bodies(server)[0]["summary"] == "batch_counters: 1."


def test_a_name_is_no_command_to_whoever_shows_it(
    alerts: Alerts, engine: Engine, server: ScriptedServer, audience: Audience
) -> None:
    outcome = CheckOutcome("all_rows_conserved", False, Severity.ERROR, "<!channel> & Zorg")
    evaluate(alerts, LIMITS, outcomes=[outcome], audience=audience)
    (body,) = bodies(server)
    assert body["summary"] == "\u2039!channel\u203a & Zorg"
    assert "\u2039!channel\u203a &amp; Zorg" in body["text"]
    assert "<" not in body["text"]


def test_statements_are_few(
    alerts: Alerts, engine: Engine, server: ScriptedServer, audience: Audience
) -> None:
    def statements(act: Callable[[], object]) -> int:
        tally = Tally()
        with counted_into(tally):
            act()
        return tally.statements

    def run() -> None:
        evaluate(alerts, LIMITS, audience=audience)

    record(engine, **WELL)
    assert statements(run) == 1
    record(engine, **FAILING)
    assert statements(run) == 5, "look, who is behind it, keep, claim, note"
    assert statements(run) == 2
    assert statements(lambda: look(alerts, LIMITS)) == 2


class Pager:
    """A third kind of receiver, as short as the protocol lets it be."""

    name = "pager"
    fingerprint = "here"

    def __init__(self) -> None:
        self.heard: list[Notification] = []

    def deliver(self, notification: Notification) -> None:
        self.heard.append(notification)


def test_a_third_receiver_needs_the_protocol_and_nothing_else(
    alerts: Alerts, engine: Engine, server: ScriptedServer, both: Audience
) -> None:
    record(engine, **FAILING)
    evaluate(alerts, LIMITS, audience=both)
    pager = Pager()
    three = replace(both, receivers=[*both.receivers, pager])
    report = evaluate(alerts, LIMITS, audience=three)
    assert [(one.receiver, one.delivered) for one in report.deliveries] == [("pager", 1)]
    assert [(one.name, one.state) for one in pager.heard] == delivered(server)


def test_a_second_receiver_is_two_statements_more(
    alerts: Alerts, engine: Engine, both: Audience
) -> None:
    def statements() -> int:
        tally = Tally()
        with counted_into(tally):
            evaluate(alerts, LIMITS, audience=both)
        return tally.statements

    record(engine, **WELL)
    assert statements() == 1
    record(engine, **FAILING)
    assert statements() == 7
    assert statements() == 2


def test_each_receiver_hears_of_a_change_once(
    alerts: Alerts,
    engine: Engine,
    server: ScriptedServer,
    both: Audience,
    incidents: PagerDutyServer,
) -> None:
    record(engine, **FAILING)
    report = evaluate(alerts, LIMITS, audience=both)
    assert [(one.receiver, one.delivered) for one in report.deliveries] == [
        ("webhook", 1),
        ("pagerduty", 1),
    ]
    assert (report.delivered, report.pending) == (2, 0)
    assert evaluate(alerts, LIMITS, audience=both).deliveries == []
    age(engine, 90)
    record(engine, **WELL)
    evaluate(alerts, LIMITS, audience=both)
    assert delivered(server) == [("error_rate", "raised"), ("error_rate", "resolved")]
    (incident,) = incidents.incidents[KEY]
    assert (incident.said, incident.is_open) == (["trigger", "resolve"], False)
    assert incident.dedup_key.endswith(f"{alerts.recent(60).installation_id}/error_rate")
    assert incidents.refusals == []


@pytest.mark.parametrize("away", ["webhook", "pagerduty"])
def test_what_one_receiver_did_not_take_keeps_nothing_from_the_other(
    alerts: Alerts,
    engine: Engine,
    *,
    server: ScriptedServer,
    both: Audience,
    incidents: PagerDutyServer,
    away: str,
) -> None:
    record(engine, **FAILING)
    if away == "webhook":
        server.answer(Reply(503))
    else:
        incidents.faults = [429, 503, 500]
    for run in range(3):
        report = evaluate(alerts, LIMITS, audience=both)
        assert (report.delivered, report.pending) == (int(run == 0), 1)
        (failed,) = [one for one in report.deliveries if one.pending]
        assert failed.receiver == away
        assert str(failed.failure).startswith("it answered ")
    heard = delivered(server) if away == "pagerduty" else incidents.incidents[KEY][0].said
    assert len(heard) == 1, "whoever has it hears nothing again"
    server.answer(Reply())
    report = evaluate(alerts, LIMITS, audience=both)
    assert [(one.receiver, one.delivered) for one in report.deliveries] == [(away, 1)]
    assert evaluate(alerts, LIMITS, audience=both).deliveries == []
    assert [one.said for one in incidents.incidents[KEY]] == [["trigger"]]


def test_what_ended_while_pagerduty_was_away_opens_nothing_and_leaves_nothing_open(
    alerts: Alerts, engine: Engine, both: Audience, incidents: PagerDutyServer
) -> None:
    record(engine, **FAILING, failed_batches=1)
    incidents.faults = [500]
    evaluate(alerts, LIMITS, audience=both)
    age(engine, 90)
    record(engine, **WELL)
    evaluate(alerts, LIMITS, audience=both)
    assert incidents.incidents[KEY] == [], "it has never heard of them"

    record(engine, **{**FAILING, "failed_requests": 10_000})
    evaluate(alerts, LIMITS, audience=both)
    age(engine, 90)
    record(engine, **WELL)
    incidents.faults = [500]
    evaluate(alerts, LIMITS, audience=both)
    assert incidents.incidents[KEY][0].is_open
    age(engine, 3 * 24 * 60)
    report = evaluate(alerts, LIMITS, audience=both)
    assert [(one.receiver, one.delivered) for one in report.deliveries] == [("pagerduty", 1)]
    assert not incidents.incidents[KEY][0].is_open


def test_what_pagerduty_refuses_is_said_once_until_its_key_is_another(
    alerts: Alerts, engine: Engine, both: Audience, incidents: PagerDutyServer
) -> None:
    record(engine, **FAILING, failed_batches=1)
    del incidents.incidents[KEY]
    refused = evaluate(alerts, LIMITS, audience=both)
    (webhook, pagerduty) = refused.deliveries
    assert (webhook.delivered, pagerduty.delivered, pagerduty.pending) == (2, 0, 0)
    assert pagerduty.refused == 2
    assert "BATCH_ALERT_PAGERDUTY_ROUTING_KEY" in str(pagerduty.refusal)
    assert KEY not in repr(refused)
    assert evaluate(alerts, LIMITS, audience=both).deliveries == []
    assert len(incidents.calls) == 2

    other = "R" + "0" * 31
    incidents.incidents[other] = []
    hook, wrong = both.receivers
    assert isinstance(wrong, PagerDuty)
    right = PagerDuty(other, url=wrong._url, timeout_seconds=5)
    mended = replace(both, receivers=[hook, right])
    report = evaluate(alerts, LIMITS, audience=mended)
    assert [(one.receiver, one.delivered) for one in report.deliveries] == [("pagerduty", 2)]
    assert len(incidents.incidents[other]) == 2
    with engine.connect() as connection:
        kept = connection.execute(text("SELECT d.* FROM batch_assets.alert_delivery AS d")).all()
    assert KEY not in str(kept)
    assert other not in str(kept)


def test_a_run_that_died_once_it_had_delivered_opens_no_second_incident(
    alerts: Alerts, engine: Engine, both: Audience, incidents: PagerDutyServer
) -> None:
    record(engine, **FAILING)
    with (
        patch.object(Alerts, "record_deliveries", side_effect=KeyboardInterrupt),
        pytest.raises(KeyboardInterrupt),
    ):
        evaluate(alerts, LIMITS, audience=Audience([both.receivers[1]], "run-6"))
    assert evaluate(alerts, LIMITS, audience=both).pending == 0
    age(engine, 6)
    evaluate(alerts, LIMITS, audience=both)
    assert [one.said for one in incidents.incidents[KEY]] == [["trigger", "trigger"]]


def test_a_day_of_runs_delivers_each_change_once(
    alerts: Alerts, engine: Engine, server: ScriptedServer, audience: Audience
) -> None:
    """Every 20 minutes a run: a breaker is open from 6 to 7, and from 10 on too many requests fail,
    while the receiver is away; from 12 to 14 their rate moves about its limit.
    """
    heard: list[tuple[str, str]] = []
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
        report = evaluate(alerts, LIMITS, audience=audience)
        assert len(server.calls) <= 1
        heard += delivered(server)[: report.delivered]
        age(engine, 20)
    assert heard == [
        ("open_breaker", "raised"),
        ("open_breaker", "resolved"),
        ("error_rate", "raised"),
        ("error_rate", "resolved"),
    ]
    assert not any(state.pending for state in alerts.recent(60, of(audience)).states.values())


def spend(engine: Engine, company_id: str, eur: float) -> None:
    """A batch that was claimed just now and is estimated at so much."""
    statement = text(
        "INSERT INTO batch_assets.batch"
        " (id, installation_id, company_id, model, state, requests, estimated_cost_eur)"
        " VALUES (gen_random_uuid()::text, 'i', :company_id, 'gpt-4o-mini', 'claimed', 1, :eur)"
    )
    with engine.begin() as connection:
        connection.execute(statement, {"company_id": company_id, "eur": eur})


def test_each_budget_is_an_alert_of_its_own_until_its_period_turns(
    alerts: Alerts, engine: Engine, server: ScriptedServer, audience: Audience
) -> None:
    record(engine, **WELL)
    with engine.begin() as connection:
        make_company(connection, company_id="c1", name="Zorg <b>")
    stored = StoredBudgets(engine)
    stored.set([Budget("c1", Period.MONTH, 10.0), Budget(ALL_COMPANIES, Period.DAY, 10.5)], "me")
    evaluate(alerts, LIMITS, audience=audience)
    assert delivered(server) == []
    spend(engine, "c1", 8.5)
    warned = evaluate(alerts, LIMITS, audience=audience)
    raised = [("budget_day", "raised"), ("budget_month_of_c1", "raised")]
    assert delivered(server) == raised
    (check,) = [one for one in warned.verdicts if one.name == "budgets"]
    assert (check.is_raised, check.severity) == (True, Severity.WARN)
    _, body = bodies(server)
    assert (body["severity"], body["behind"]) == (
        "WARN",
        [
            f"8.50 of 10.00 EUR for {Period.MONTH.named(datetime.now(UTC).date())} of company "
            "Zorg \u2039b\u203a (c1)."
        ],
    )
    assert "`batch-assets budget set month EUR --company c1`" in body["what_to_do"]

    held = {use.held_reason for use in stored.uses()}
    evaluate(alerts, LIMITS, audience=audience, held=held)
    assert delivered(server)[2:] == raised
    assert [one["severity"] for one in bodies(server)] == ["WARN", "WARN", "ERROR", "ERROR"]
    evaluate(alerts, LIMITS, audience=audience)
    assert len(delivered(server)) == 4

    stored.set([Budget("c1", Period.MONTH, 20.0)], "me")
    stored.clear(ALL_COMPANIES, Period.DAY)
    evaluate(alerts, LIMITS, audience=audience)
    assert delivered(server)[4:] == [("budget_day", "resolved"), ("budget_month_of_c1", "resolved")]
    spend(engine, "c1", 12.0)
    evaluate(alerts, LIMITS, audience=audience)
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE batch_assets.batch SET claimed_at = claimed_at - interval '32 days'")
        )
    evaluate(alerts, LIMITS, audience=audience)
    assert delivered(server)[6:] == [
        ("budget_month_of_c1", "raised"),
        ("budget_month_of_c1", "resolved"),
    ]


def test_budgets_cost_a_run_no_statement_of_their_own(alerts: Alerts, engine: Engine) -> None:
    record(engine, **WELL)
    StoredBudgets(engine).set([Budget("c1", Period.MONTH, 10.0)], "me")
    for eur in (0.0, 9.0):
        spend(engine, "c1", eur)
        tally = Tally()
        with counted_into(tally):
            look(alerts, LIMITS)
        assert tally.statements == 1
