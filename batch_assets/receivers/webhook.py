"""A webhook: one POST of a JSON object for each change, to an address that may hold a token."""

from typing import Final

from batch_assets.domain.display import plain
from batch_assets.receivers.receiver import (
    TIMEOUT_SECONDS,
    DeliveryError,
    Notification,
    fingerprint_of,
    post_json,
)

_FOR_SLACK: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


class Webhook:
    """A webhook, which has a change once it answers with 2xx, and refuses none for good."""

    name = "webhook"

    def __init__(self, url: str, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._url = url
        self._timeout_seconds = timeout_seconds

    @property
    def fingerprint(self) -> str:
        """What changes with the address."""
        return fingerprint_of(self._url)

    def deliver(self, notification: Notification) -> None:
        """POST the change as `body_of` has it.

        Raises:
            DeliveryError: it was not answered with 2xx, or not in time.
        """
        body = body_of(notification)
        status = post_json(self._url, body, timeout_seconds=self._timeout_seconds)
        if not 200 <= status < 300:
            raise DeliveryError(f"it answered {status}")


def body_of(notification: Notification) -> dict[str, object]:
    """Make the JSON object for one change, as `docs/alerts.md` promises it to those who read it."""
    sender = notification.sender
    return {
        "event_id": notification.event_id,
        "name": notification.name,
        "state": notification.state,
        "severity": str(notification.severity),
        "summary": notification.summary,
        "what_to_do": notification.what_to_do,
        "behind": list(notification.behind),
        "since": notification.since.isoformat(),
        "installation_id": sender.installation_id,
        "database": sender.database,
        "run_id": sender.run_id,
        "run_url": sender.run_url,
        "text": _text(notification),
    }


def _text(notification: Notification) -> str:
    """Write it all for receivers that show a message, such as Slack, with no command of theirs."""
    sender = notification.sender
    head = f"[{notification.severity}] {notification.name} {notification.state}"
    lines = [
        f"{plain(f'{head} on {sender.database}')}: {notification.summary}",
        notification.what_to_do,
        sender.run_url or "",
    ]
    return "\n".join(line.translate(_FOR_SLACK) for line in lines if line)
