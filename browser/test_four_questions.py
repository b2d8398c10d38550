"""Is it well, what does it cost, who is behind, what failed: read off a healthy and a sick system.

Each question has one page and one command, as docs/operations.md lists them.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser

from browser.chromium import new_page
from browser.conftest import KEPT
from browser.launchpad import Launchpad
from browser.pages import WORK
from browser.systems import System, healthy_system, sick_system
from browser.window import Window


@dataclass(frozen=True)
class Seen:
    """A system, and a window on it."""

    system: System
    window: Window

    def read(self, path: str, shows: str) -> str:
        """What a page says, from its metadata on where it is an asset's."""
        self.window.open(path, shows)
        if path.startswith("/assets/") and "view=" not in path:
            self.window.show_table()
            return self.window.text().partition("Filter metadata keys")[2] or self.window.text()
        return self.window.text()


@pytest.fixture(scope="module")
def healthy(browser: Browser) -> Iterator[Seen]:
    """A system on which all is well."""
    with healthy_system("ui-healthy", KEPT / "healthy.log") as system:
        yield Seen(system, Window(new_page(browser), system.url))


@pytest.fixture(scope="module")
def sick(browser: Browser) -> Iterator[Seen]:
    """One that has everything at once."""
    with sick_system("ui-sick", KEPT / "sick.log") as system:
        window = Window(new_page(browser), system.url)
        assert Launchpad(window, WORK).run()[1] == "Failure"
        yield Seen(system, window)


def test_a_healthy_system_says_so_by_page_and_command(healthy: Seen) -> None:
    overview = healthy.read("/assets/overview", "Whether all is well")
    assert " Well " in overview
    assert "Nothing waits." in overview
    spent = _money(overview)
    assert spent > 0

    typed = healthy.system.type("status")
    assert typed.startswith("Well.\n")
    assert f"Today (UTC): {spent:.4f} EUR spent" in typed, "the same as on the page"
    assert healthy.system.type("alerts", "--state", "raised").startswith("0 alerts are raised.")

    backlog = healthy.read("/assets/backlog", "What is still to be done")
    assert "waiting_requests" in backlog
    runs = healthy.read("/runs", "batch_processing_job")
    assert "Failure" not in runs
    assert healthy.window.complaints() == []


def test_a_sick_system_says_what_is_wrong_and_what_to_do(sick: Seen) -> None:
    overview = sick.read("/assets/overview", "Whether all is well")
    typed = _one_line(sick.system.type("status"))
    assert re.search(r"Not well: \d+ things to look at", overview)
    assert typed.startswith("Not well")
    refused = r"Failed: [\w, ]*check_batch_statuses[\w, ]*\. The API refuses the account"
    assert re.search(refused, overview)
    assert "To do:" in overview
    for said in ("refuses the account", "LiveDash's own batch timers"):
        assert said in typed
    alerts = sick.system.type("alerts", "--state", "raised")
    for name in ("livedash_timers", "dead_letters", "backlog_age"):
        assert name in alerts
    assert sick.window.complaints() == []


def test_a_sick_system_says_who_is_behind(sick: Seen) -> None:
    overview = sick.read("/assets/overview", "Whether all is well")
    behind = re.search(r"The oldest requests wait for ([A-Z][\w ]+) \(", overview)
    assert behind is not None
    backlog = sick.read("/assets/backlog", "What is still to be done")
    assert behind.group(1) in backlog
    assert behind.group(1) in sick.system.type("status")


def test_a_sick_system_says_what_failed(sick: Seen) -> None:
    runs = sick.read("/runs", "Failure")
    failed = sick.system.type("runs", "--state", "failure")
    (run,) = re.findall(r"[0-9a-f]{8}-[0-9a-f-]{27}", failed)[:1]
    assert run[:8] in runs
    said = sick.read(f"/runs/{run}?levels=error", "refuses the account")
    assert "Traceback" not in said
    assert "refuses the account" in sick.system.type("logs", run)
    letters = sick.read("/assets/backlog?view=checks&checkDetail=dead_letters", "dead_letters")
    assert "batch-assets dead-letters list" in letters
    assert "invalid_request_error" in sick.system.type("dead-letters", "list")
    expired = sick.read("/assets/reliability", "What went wrong")
    assert "expired_batches" in expired


def test_a_warning_is_seen_on_its_asset(healthy: Seen, sick: Seen) -> None:
    assert "2 / 2 Passed" in healthy.read("/assets/backlog?view=lineage", "overview")
    assert "0 / 2 Passed" in sick.read("/assets/backlog?view=lineage", "overview")
    checks = sick.read("/assets/backlog?view=checks", "dead_letters")
    assert checks.count("Failed") >= 2


def _money(overview: str) -> float:
    found = re.search(r"Today (\d+\.\d+)", overview)
    assert found is not None
    return float(found.group(1))


def _one_line(text: str) -> str:
    return " ".join(text.split())
