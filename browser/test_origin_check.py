"""Other people's pages, in the browser in which the UI is open, too: they start and read nothing.

Without the origin check they do, which is tried first. `batch_assets_tests/test_web_access.py` has
what the check says to each request that they make here.
"""

import sys
from collections.abc import Iterator
from typing import Final

import httpx2
import psycopg
import pytest
from playwright.sync_api import Browser

from batch_assets.cli.dagster_instance import dagster_home
from batch_assets.project_files import PROJECT_DIR
from browser.attacker import EVIL, Attack, Booty
from browser.conftest import KEPT, PLAIN
from browser.launchpad import Launchpad
from browser.running import HOST, empty_stack, web_server
from browser.window import Window

JOB: Final = "audit_job"
OPEN: Final = """
import batch_assets.resources.dagster_webserver as resource
resource.guard_webserver = lambda hosts: None
from dagster_webserver.cli import main
main()
"""
"""Dagster's web server as it is, without the origin check."""

LAUNCH: Final = f"""mutation {{ launchRun(executionParams: {{
    mode: "default", runConfigData: "{{}}", selector: {{
        repositoryLocationName: "batch_assets", repositoryName: "__repository__", jobName: "{JOB}"
    }}
}}) {{ ... on LaunchRunSuccess {{ run {{ runId }} }} }} }}"""
STARTED: Final = "SELECT value FROM dagster.run_tags WHERE key = 'attack'"
REPORTED: Final = "SELECT asset_key FROM dagster.asset_keys WHERE asset_key LIKE '%attack%'"
REFUSED: Final = "This name is not one of the UI's"

BY_OTHERS: Final = {
    *("image", "image of /graphql%0A", "image by a redirect", "script", "module", "style sheet"),
    *("preload", "video", "fetch", "no-cors", "fetch without a type", "no-cors as text/plain"),
    *("form of text/plain", "form of multipart/form-data", "form in a frame", "beacon"),
}
"""What starts a run from elsewhere, where there is no origin check."""

VISITS: Final = [
    # Another port of this machine.
    *((HOST, HOST), ("localhost", HOST), (HOST, PLAIN)),
    # A page of the web, by each name and address that leads to the UI.
    *((EVIL, HOST), (EVIL, PLAIN), (EVIL, "localhost"), (EVIL, "0.0.0.0")),
    # Pages that have no origin.
    *(("sandbox", HOST), ("sandbox", PLAIN), ("file", HOST), ("file", PLAIN)),
]


@pytest.fixture
def attack(browser: Browser, attackers: str) -> Iterator[Attack]:
    context = browser.new_context()
    yield Attack(context, attackers)
    context.close()


@pytest.fixture(scope="module")
def booty(shared_window: Window) -> Booty:
    """A run that the UI has started, and what its op has printed."""
    run, ended = Launchpad(shared_window, JOB).run()
    assert ended == "Success"
    folder = PROJECT_DIR / ".local" / "dagster" / "compute_logs" / run / "compute_logs"
    booty = Booty(run, f"/logs/{run}/compute_logs/{next(folder.glob('*.err')).stem}/err")
    assert httpx2.get(shared_window.url + booty.log).is_success
    return booty


def started(database: psycopg.Connection) -> set[str]:
    """Which attempts have started a run, of all origins."""
    return {str(tag).partition(": ")[2] for (tag,) in database.execute(STARTED)}


def test_without_the_door_other_pages_start_runs_and_read_events(attack: Attack) -> None:
    command = [sys.executable, "-c", OPEN, "--workspace", "workspace.yaml"]
    home = {"DAGSTER_HOME": str(dagster_home())}
    with (
        empty_stack("ui-unchecked") as stack,
        web_server(command, stack, KEPT / "unchecked.log", home) as url,
        psycopg.connect(stack.database_url, autocommit=True) as database,
    ):
        launched = httpx2.post(f"{url}/graphql", json={"query": LAUNCH}).json()
        run = launched["data"]["launchRun"]["run"]["runId"]
        booty = Booty(run, "/server_info")
        read = attack.run(EVIL, url, booty)
        assert BY_OTHERS - started(database) == set()
        assert run in read["events by a WebSocket"]
        read = attack.run("rebound", url, booty)
        assert "version" in read["reading an answer"]
        assert "dagster_version" in read["reading the log"]


@pytest.mark.parametrize("visit", VISITS, ids=" to ".join)
def test_pages_of_other_origins_start_nothing_and_read_nothing(
    visit: tuple[str, str], attack: Attack, url: str, booty: Booty, database: psycopg.Connection
) -> None:
    origin, name = visit
    assert attack.run(origin, url.replace(HOST, name), booty) == {}
    assert started(database) == set()
    assert database.execute(REPORTED).fetchall() == []


def test_a_name_that_is_led_here_is_told_that_it_is_none_of_ours(
    attack: Attack, url: str, booty: Booty, database: psycopg.Connection
) -> None:
    """Of DNS rebinding: for the browser the page is the UI's own, and reads what it is told."""
    read = attack.run("rebound", url, booty)
    assert {how: text for how, text in read.items() if not text.startswith(REFUSED)} == {}
    assert "reading the log" in read
    assert started(database) == set()
