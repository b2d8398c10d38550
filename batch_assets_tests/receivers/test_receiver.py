"""What every receiver is handed of names that somebody chose badly."""

from datetime import UTC, datetime

import pytest

from batch_assets.domain.alerts.records import AlertState, Severity
from batch_assets.receivers.receiver import Sender, fingerprint_of, notification_of
from batch_assets.receivers.webhook import body_of

SENDER = Sender("inst", "livedash", "run-1", "https://dagster.example")


@pytest.mark.parametrize(
    "mark", ["<!channel>", "@here", "[x](javascript:alert(1))", "https://evil.example", "a\n# b"]
)
def test_names_are_no_mentions_and_no_links(mark: str) -> None:
    state = AlertState("error_rate", True, Severity.ERROR, f"of {mark}.", datetime.now(UTC))
    notification = notification_of(state, what_to_do="See.", behind=(), sender=SENDER)
    assert mark not in notification.summary
    text = str(body_of(notification)["text"])
    said, what_to_do, link = text.split("\n")
    assert mark not in said
    assert (what_to_do, link) == ("See.", "https://dagster.example/runs/run-1")


def test_a_fingerprint_changes_with_what_it_is_of_and_shows_none_of_it() -> None:
    url, key = "https://a.example/canary", "canary"
    every = {fingerprint_of(url), fingerprint_of(url, key), fingerprint_of(url, key + "2")}
    assert len(every) == 3
    assert fingerprint_of(url, key) in every
    assert not any("canary" in one for one in every)
