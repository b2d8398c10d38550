"""What a receiver is sent of names that somebody chose badly."""

from datetime import UTC, datetime

import pytest

from batch_assets.domain.alerts.records import AlertState, Severity
from batch_assets.webhook.body import Sender, body_of

SENDER = Sender("inst", "livedash", "run-1", "https://dagster.example")


@pytest.mark.parametrize(
    "mark", ["<!channel>", "@here", "[x](javascript:alert(1))", "https://evil.example", "a\n# b"]
)
def test_names_are_no_mentions_and_no_links(mark: str) -> None:
    state = AlertState("error_rate", True, Severity.ERROR, f"of {mark}.", datetime.now(UTC))
    text = str(body_of(state, what_to_do="See.", behind=(), sender=SENDER)["text"])
    said, what_to_do, link = text.split("\n")
    assert mark not in said
    assert (what_to_do, link) == ("See.", "https://dagster.example/runs/run-1")
