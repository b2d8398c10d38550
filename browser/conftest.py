"""What the tests of the UI share: one stack with the demo on it, one Dagster, one browser."""

import shutil
from collections.abc import Generator, Iterator
from typing import Final

import psycopg
import pytest
from playwright.sync_api import Browser

from batch_assets.domain.errors import ConfigurationError
from batch_assets.project_files import PROJECT_DIR
from batch_assets_local.batch_server import ServerConfig
from batch_assets_local.state_file import LocalStack
from browser.attacker import EVIL, attacker
from browser.chromium import chromium, find_chromium, new_page
from browser.proxy import NAME, find_nginx
from browser.running import HOST, configure_server, dagster_ui, empty_stack, free_port, play_demo
from browser.window import Window

STACK: Final = "ui-tests"
KEPT: Final = PROJECT_DIR / ".local" / "ui-failures"
"""Pictures of what failed, and what Dagster and the demo said."""

REFUSED: Final = {"lines": [1], "effect": {"kind": "http_error", "status": 400}}
"""During the demo, so that there are requests which would work if they were sent again."""

PLAIN: Final = "ui.example"
"""A name of the UI without TLS: browsers do not say then which site asks."""

SETTINGS: Final = {
    # Nothing but what a test launches runs; schedules and sensors tick all the same.
    "BATCH_SCHEDULES_ENABLED": "false",
    "BATCH_SCHEDULE": "* * * * *",
    "BATCH_MIN_SIZE": "1",
    "BATCH_UI_URL": f"https://{NAME}",
    "BATCH_UI_HOSTS": PLAIN,
}


def pytest_configure() -> None:
    """Say at once when there is no browser, or no proxy."""
    try:
        find_chromium()
        find_nginx()
    except ConfigurationError as error:
        raise pytest.UsageError(str(error)) from None
    shutil.rmtree(KEPT, ignore_errors=True)
    KEPT.parent.mkdir(mode=0o700, exist_ok=True)
    KEPT.mkdir()


@pytest.fixture(scope="session")
def attackers() -> Iterator[str]:
    """The address of somebody else's pages."""
    with attacker() as address:
        yield address


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep a picture of what the window shows when a test fails."""
    report = yield
    for shown in getattr(item, "funcargs", {}).values():
        if report.failed and isinstance(shown, Window):
            shown.page.screenshot(path=KEPT / f"{item.name.replace('/', ' ')}.png")
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, exitstatus: int) -> None:
    """Say where to look."""
    if exitstatus:
        terminalreporter.write_line(f"Pictures of what failed and the logs are in {KEPT}.")


@pytest.fixture(scope="session")
def stack() -> Iterator[LocalStack]:
    """A local stack after the demo, in which the server refused one request of each batch."""
    with empty_stack(STACK) as running:
        configure_server(running, ServerConfig.instant(rows=[REFUSED]))
        play_demo(running, KEPT / "demo.log")
        configure_server(running, ServerConfig.instant())
        yield running


@pytest.fixture(scope="session")
def database(stack: LocalStack) -> Iterator[psycopg.Connection]:
    """The stack's database, to see what a click has done."""
    with psycopg.connect(stack.database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="session")
def url(stack: LocalStack) -> Iterator[str]:
    """The address of the UI."""
    with dagster_ui(stack, KEPT / "dagster.log", SETTINGS) as address:
        yield address


@pytest.fixture(scope="session")
def proxy_port() -> int:
    """Where the proxy will listen, which the browser has to know when it starts."""
    return free_port()


@pytest.fixture(scope="session")
def browser(proxy_port: int) -> Iterator[Browser]:
    """The browser, for which names of the UI and one of nobody lead to this machine."""
    proxy = f"{HOST}:{proxy_port}"
    names = {NAME: proxy, f"{EVIL}:443": proxy, EVIL: HOST, PLAIN: HOST}
    with chromium(names) as opened:
        yield opened


@pytest.fixture
def window(browser: Browser, url: str) -> Iterator[Window]:
    """A window of the test's own, with nothing left in it by another."""
    page = new_page(browser)
    yield Window(page, url)
    page.close()


@pytest.fixture(scope="session")
def shared_window(browser: Browser, url: str) -> Window:
    """One that stays open, for tests that only look, since the UI is loaded once then."""
    return Window(new_page(browser), url)
