"""However the web server is started it has the origin check, and the UI works behind it."""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import httpx2
import pytest
from playwright.sync_api import Browser

from batch_assets.cli.dagster_instance import dagster_home
from batch_assets_local.state_file import LocalStack
from browser.chromium import new_page
from browser.conftest import KEPT, SETTINGS
from browser.launchpad import Launchpad
from browser.running import empty_stack, program, web_server
from browser.window import Window

JOB: Final = "audit_job"
WORKSPACE: Final = ("--workspace", "workspace.yaml")
PROGRAMS: Final = Path(sys.executable).parent


@pytest.fixture(scope="module")
def own_stack() -> Iterator[LocalStack]:
    """A stack that no other daemon looks at."""
    with empty_stack("ui-starts") as running:
        yield running


@pytest.fixture
def home() -> Mapping[str, str]:
    """What Dagster's own commands need."""
    return {**SETTINGS, "DAGSTER_HOME": str(dagster_home())}


def check(browser: Browser, url: str) -> None:
    """A run is launched and followed to its end; a foreign name and a mutation by GET are not."""
    assert httpx2.get(f"{url}/runs", headers={"Host": "evil.example"}).status_code == 403
    assert httpx2.get(f"{url}/graphql?query=mutation{{launchRun}}").status_code == 403
    assert httpx2.get(f"{url}/server_info", headers={"Host": "10.0.0.5"}).is_success

    window = Window(new_page(browser), url)
    run, ended = Launchpad(window, JOB).run()
    assert ended == "Success"
    assert window.heard(run)
    assert window.heard("RunSuccessEvent")
    assert window.complaints() == []
    window.page.close()


def test_make_dev_which_is_dagster_dev(browser: Browser, url: str) -> None:
    check(browser, url)


def test_web_servers_beside_a_daemon(
    browser: Browser, own_stack: LocalStack, home: Mapping[str, str]
) -> None:
    ours, dagsters = str(PROGRAMS / "batch-assets"), str(PROGRAMS / "dagster-webserver")
    with program([ours, "daemon"], own_stack, KEPT / "daemon.log", home):
        for command in ([ours, "webserver"], [dagsters, *WORKSPACE]):
            with web_server(command, own_stack, KEPT / "webserver.log", home) as url:
                check(browser, url)
