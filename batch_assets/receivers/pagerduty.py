"""PagerDuty's Events API v2: an alert that is raised triggers an incident, and resolves it later.

https://developer.pagerduty.com/docs/events-api-v2-overview
"""

from collections.abc import Mapping
from typing import Final

from batch_assets.domain.alerts.records import Severity
from batch_assets.domain.display import plain
from batch_assets.receivers.receiver import (
    TIMEOUT_SECONDS,
    DeliveryError,
    Notification,
    RefusedError,
    fingerprint_of,
    post_json,
)

EVENTS_URL: Final = "https://events.pagerduty.com/v2/enqueue"
"""Where events of the US service region go."""
EU_EVENTS_URL: Final = "https://events.eu.pagerduty.com/v2/enqueue"
"""Where those of the EU's go; a key is known in its own region alone."""
MAX_SUMMARY: Final = 1_024
"""Characters. No sentence of the details is longer either: a whole event may have 512 KB."""
_CLIENT: Final = "batch_assets"
_ACCEPTED: Final = 202
_BAD_REQUEST: Final = 400
_SEVERITIES: Final[Mapping[Severity, str]] = {
    Severity.WARN: "warning",
    Severity.ERROR: "error",
}
"""By urgency, where a service goes by severity: a warning wakes nobody, an error does."""


class PagerDuty:
    """One integration of a service, or of a set of rules, with its routing key."""

    name = "pagerduty"

    def __init__(
        self, routing_key: str, *, url: str = EVENTS_URL, timeout_seconds: float = TIMEOUT_SECONDS
    ) -> None:
        self._routing_key = routing_key
        self._url = url
        self._timeout_seconds = timeout_seconds

    @property
    def fingerprint(self) -> str:
        """What changes with the address and the key."""
        return fingerprint_of(self._url, self._routing_key)

    def deliver(self, notification: Notification) -> None:
        """POST the event for the change; what the answer says beyond its status is not read.

        Raises:
            RefusedError: it was answered with 400, as the same would be again.
            DeliveryError: it was not answered with 202 (429 and 5xx ask for another try), or not
                in time.
        """
        event = {"routing_key": self._routing_key, **event_of(notification)}
        status = post_json(self._url, event, timeout_seconds=self._timeout_seconds)
        if status == _BAD_REQUEST:
            raise RefusedError(
                f"it answered {status}: see whether BATCH_ALERT_PAGERDUTY_ROUTING_KEY is the key "
                "of an integration of the type Events API V2, in the service region of "
                "BATCH_ALERT_PAGERDUTY_URL"
            )
        if status != _ACCEPTED:
            raise DeliveryError(f"it answered {status}")


def event_of(notification: Notification) -> dict[str, object]:
    """Make the event for one change, without the routing key.

    Its `dedup_key` is the same for all changes of an alert of an installation: a trigger that is
    repeated, or has become an error, adds to the incident that is open, and a resolve ends it.
    """
    sender = notification.sender
    event: dict[str, object] = {
        "event_action": "trigger" if notification.is_raised else "resolve",
        "dedup_key": f"{_CLIENT}/{sender.installation_id}/{notification.name}",
    }
    if not notification.is_raised:
        return event
    event["payload"] = _payload(notification)
    event["client"] = _CLIENT
    if sender.ui_url and sender.run_url:
        event["client_url"] = sender.ui_url
        event["links"] = [{"href": sender.run_url, "text": "The run that saw it"}]
    return event


def _payload(notification: Notification) -> dict[str, object]:
    sender = notification.sender
    database = plain(sender.database)
    return {
        "summary": _cut(f"{notification.name} on {database}: {notification.summary}"),
        "source": database,
        "severity": _SEVERITIES[notification.severity],
        "timestamp": notification.since.isoformat(),
        "component": _CLIENT,
        "group": sender.installation_id,
        "class": notification.name,
        "custom_details": {
            "what_to_do": _cut(notification.what_to_do),
            "behind": [_cut(one) for one in notification.behind],
            "event_id": notification.event_id,
            "installation_id": sender.installation_id,
            "run_id": sender.run_id,
        },
    }


def _cut(sentence: str) -> str:
    return sentence if len(sentence) <= MAX_SUMMARY else f"{sentence[: MAX_SUMMARY - 1]}\u2026"
