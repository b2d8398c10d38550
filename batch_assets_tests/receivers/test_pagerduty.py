"""Events on a real connection, to a server that takes only what PagerDuty documents."""

import json
import logging
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from batch_assets.domain.alerts.records import AlertState, Severity
from batch_assets.domain.alerts.rules import RULES
from batch_assets.receivers.pagerduty import EU_EVENTS_URL, MAX_SUMMARY, PagerDuty, event_of
from batch_assets.receivers.receiver import (
    DeliveryError,
    Notification,
    RefusedError,
    Sender,
    notification_of,
)
from batch_assets_tests.receivers.pagerduty_server import (
    MAX_CALLS_A_MINUTE,
    MAX_DEDUP_KEY,
    PagerDutyServer,
)

KEY = "e93facc04764012d7bfb002500d5d1a6"
SENDER = Sender("0d9c", "livedash", "run-1", "https://dagster.example/")
SINCE = datetime(2026, 3, 4, 11, tzinfo=UTC)


@pytest.fixture
def server() -> PagerDutyServer:
    return PagerDutyServer(KEY)


@pytest.fixture
def url(server: PagerDutyServer) -> Iterator[str]:
    with server.listening() as url:
        yield url


@pytest.fixture
def pagerduty(url: str) -> PagerDuty:
    return PagerDuty(KEY, url=url, timeout_seconds=5)


def changed(
    name: str = "error_rate",
    *,
    is_raised: bool = True,
    severity: Severity = Severity.ERROR,
    summary: str = "Of 20 requests, 12 have failed.",
    behind: tuple[str, ...] = ("12 of 20 requests of company Zorg (c7).",),
    sender: Sender = SENDER,
) -> Notification:
    state = AlertState(name, is_raised, severity, summary, SINCE)
    what_to_do = "See `batch-assets dead-letters list`." if is_raised else ""
    return notification_of(state, what_to_do=what_to_do, behind=behind, sender=sender)


def refused(receiver: PagerDuty, notification: Notification) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        receiver.deliver(notification)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert KEY not in str(caught.value)
    return caught.value


def test_a_raised_alert_triggers_an_incident_with_all_that_helps(
    server: PagerDutyServer, pagerduty: PagerDuty
) -> None:
    notification = changed()
    pagerduty.deliver(notification)
    assert json.loads(server.calls[0]) == {
        "routing_key": KEY,
        "event_action": "trigger",
        "dedup_key": "batch_assets/0d9c/error_rate",
        "payload": {
            "summary": "error_rate on livedash: Of 20 requests, 12 have failed.",
            "source": "livedash",
            "severity": "error",
            "timestamp": "2026-03-04T11:00:00+00:00",
            "component": "batch_assets",
            "group": "0d9c",
            "class": "error_rate",
            "custom_details": {
                "what_to_do": "See `batch-assets dead-letters list`.",
                "behind": ["12 of 20 requests of company Zorg (c7)."],
                "event_id": notification.event_id,
                "installation_id": "0d9c",
                "run_id": "run-1",
            },
        },
        "client": "batch_assets",
        "client_url": "https://dagster.example/",
        "links": [{"href": "https://dagster.example/runs/run-1", "text": "The run that saw it"}],
    }
    (incident,) = server.incidents[KEY]
    assert incident.is_open


def test_a_resolved_one_resolves_it_and_the_next_is_another(
    server: PagerDutyServer, pagerduty: PagerDuty
) -> None:
    for is_raised in (True, False, True):
        pagerduty.deliver(changed(is_raised=is_raised))
    over, again = server.incidents[KEY]
    assert (over.said, over.is_open) == (["trigger", "resolve"], False)
    assert (again.said, again.is_open) == (["trigger"], True)
    assert server.refusals == []


def test_a_resolve_has_what_is_documented_of_it_and_nothing_else(
    server: PagerDutyServer, pagerduty: PagerDuty
) -> None:
    pagerduty.deliver(changed(is_raised=False))
    assert json.loads(server.calls[0]) == {
        "routing_key": KEY,
        "event_action": "resolve",
        "dedup_key": "batch_assets/0d9c/error_rate",
    }


@pytest.mark.parametrize("severity", Severity)
@pytest.mark.parametrize("name", RULES)
def test_every_alert_of_every_severity_is_taken(
    server: PagerDutyServer, pagerduty: PagerDuty, name: str, severity: Severity
) -> None:
    sender = Sender(str(uuid.uuid4()), "d" * 63, str(uuid.uuid4()), "https://dagster.example")
    pagerduty.deliver(changed(name, severity=severity, sender=sender))
    (incident,) = server.incidents[KEY]
    assert len(incident.dedup_key) <= MAX_DEDUP_KEY


def test_all_alerts_at_once_are_fewer_calls_than_a_key_may_make_in_a_minute() -> None:
    assert len(RULES) < MAX_CALLS_A_MINUTE / 2


def test_what_is_repeated_or_worse_adds_to_the_incident_that_is_open(
    server: PagerDutyServer, pagerduty: PagerDuty
) -> None:
    for severity in (Severity.WARN, Severity.WARN, Severity.ERROR):
        pagerduty.deliver(changed("batch_age", severity=severity))
    pagerduty.deliver(changed("dead_letters", severity=Severity.WARN))
    pagerduty.deliver(changed("batch_age", sender=Sender("another", "livedash", "run-1")))
    age, letters, elsewhere = server.incidents[KEY]
    severities = [event.payload.severity for event in age.log if event.payload]
    assert severities == ["warning", "warning", "error"]
    assert (len(letters.log), len(elsewhere.log)) == (1, 1)


def test_a_resolve_of_what_is_not_open_is_dropped(
    server: PagerDutyServer, pagerduty: PagerDuty
) -> None:
    pagerduty.deliver(changed(is_raised=False))
    assert server.incidents[KEY] == []
    assert server.refusals == []


def test_without_the_address_of_the_ui_there_is_no_link(
    server: PagerDutyServer, pagerduty: PagerDuty
) -> None:
    pagerduty.deliver(changed(sender=Sender("0d9c", "livedash", "run-1")))
    sent = json.loads(server.calls[0])
    assert not {"client_url", "links"} & sent.keys()
    assert len(server.incidents[KEY]) == 1


@pytest.mark.parametrize("filler", ["Zorg ", "É", "🏥", "<!channel> \x1b[2J"])
def test_however_long_a_name_is_the_event_is_taken(
    server: PagerDutyServer, pagerduty: PagerDuty, filler: str
) -> None:
    long = filler * 50_000
    pagerduty.deliver(changed(summary=long, behind=(long,) * 9))
    (incident,) = server.incidents[KEY]
    payload = incident.log[0].payload
    assert payload is not None
    assert len(payload.summary) == MAX_SUMMARY
    assert payload.summary.endswith("…")


def test_a_summary_that_just_fits_is_whole(server: PagerDutyServer, pagerduty: PagerDuty) -> None:
    head = "error_rate on livedash: "
    for length in (MAX_SUMMARY, MAX_SUMMARY + 1):
        pagerduty.deliver(changed(summary="x" * (length - len(head))))
    whole, cut = (event.payload for event in server.incidents[KEY][0].log)
    assert whole is not None
    assert cut is not None
    assert whole.summary == head + "x" * (MAX_SUMMARY - len(head))
    assert cut.summary.endswith("x…")


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 200, 302, 401, 403, 404, 408])
def test_whatever_else_it_answers_is_tried_again(
    server: PagerDutyServer, pagerduty: PagerDuty, status: int
) -> None:
    server.faults = [status]
    error = refused(pagerduty, changed())
    assert str(error) == f"it answered {status}"
    assert not isinstance(error, RefusedError)
    assert len(server.calls) == 1
    pagerduty.deliver(changed())
    assert len(server.incidents[KEY]) == 1


def test_an_event_that_is_refused_says_what_to_look_at(server: PagerDutyServer, url: str) -> None:
    error = refused(PagerDuty("0" * 32, url=url), changed())
    assert isinstance(error, RefusedError)
    assert str(error).startswith("it answered 400: see whether BATCH_ALERT_PAGERDUTY_ROUTING_KEY")
    assert server.refusals == ["Invalid routing key"]


def test_nobody_there_is_tried_again() -> None:
    error = refused(PagerDuty(KEY, url="http://127.0.0.1:9/v2/enqueue"), changed())
    assert str(error) == "ConnectError"
    assert not isinstance(error, RefusedError)


def test_the_key_is_in_no_log_and_no_fingerprint(
    server: PagerDutyServer, pagerduty: PagerDuty, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        pagerduty.deliver(changed())
        server.faults = [500, 400]
        refused(pagerduty, changed())
        refused(pagerduty, changed())
    assert KEY not in caplog.text
    assert KEY not in pagerduty.fingerprint
    assert KEY not in json.dumps(event_of(changed()))
    assert PagerDuty("0" * 32).fingerprint != PagerDuty(KEY).fingerprint
    assert PagerDuty(KEY, url=EU_EVENTS_URL).fingerprint != (PagerDuty(KEY).fingerprint)
