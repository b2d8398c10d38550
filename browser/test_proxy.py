"""The proxy of deploy/nginx as it stands there: the UI works through it, others do not."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx2
import psycopg
import pytest
from playwright.sync_api import Browser

from browser.attacker import EVIL, Attack, Booty
from browser.chromium import new_page
from browser.launchpad import Launchpad
from browser.proxy import NAME, PASSWORD, PERSON, nginx, prepare, recording_server
from browser.running import HOST
from browser.window import Window

LOGGED_IN: Final[dict[str, Any]] = {
    "ignore_https_errors": True,  # the certificate is the test's own
    "http_credentials": {"username": PERSON, "password": PASSWORD, "send": "always"},
}
STARTED: Final = "SELECT count(*) FROM dagster.run_tags WHERE key = 'attack'"
MISDIRECTED: Final = "421 Misdirected Request"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("nginx")
    prepare(made)
    return made


@pytest.fixture
def attack(browser: Browser, attackers: str) -> Iterator[Attack]:
    """By pages that are open in the browser of somebody who is logged in."""
    context = browser.new_context(**LOGGED_IN)
    yield Attack(context, attackers)
    context.close()


@pytest.mark.parametrize("origin", [HOST, EVIL, "sandbox", "file", "rebound"])
def test_of_other_pages_nothing_gets_through_but_links_to_pages(
    origin: str, attack: Attack, folder: Path, proxy_port: int
) -> None:
    """By the proxy alone: behind it is a server that takes all, and would answer it."""
    with recording_server() as (upstream, came), nginx(folder, proxy_port, upstream) as address:
        read = attack.run(origin, address, Booty("5b1e", "/logs/5b1e/compute_logs/a/err"))
    assert {how for how, text in read.items() if MISDIRECTED not in text} == set()
    linked = [] if origin == "rebound" else ["GET /runs/5b1e"]
    assert [request for request in came if not request.endswith("/favicon.ico")] == linked


def test_nobody_gets_through_without_the_login_or_by_another_name(
    folder: Path, proxy_port: int
) -> None:
    with recording_server() as (upstream, came), nginx(folder, proxy_port, upstream):
        address = f"https://{HOST}:{proxy_port}"

        def status(path: str, name: str = NAME, **login: Any) -> int:
            answer = httpx2.get(
                f"{address}{path}",
                headers={"Host": name},
                verify=False,
                **login,
            )
            return answer.status_code

        for path in ("/", "/graphql?query={version}", "/server_info", "/logs/a/b/err"):
            assert status(path) == 401
            assert status(path, auth=(PERSON, "guessed")) == 401
            assert status(path, EVIL, auth=(PERSON, PASSWORD)) == 421
        assert came == []
        assert status("/", auth=(PERSON, PASSWORD)) == 200
        assert came == ["GET /"]


@pytest.fixture
def proxied(url: str, folder: Path, proxy_port: int) -> Iterator[str]:
    """The address of the UI for those who are elsewhere."""
    with nginx(folder, proxy_port, url) as address:
        yield address


def test_the_ui_works_through_the_proxy(browser: Browser, proxied: str) -> None:
    window = Window(new_page(browser, **LOGGED_IN), proxied)
    run, ended = Launchpad(window, "audit_job").run()
    assert ended == "Success"
    assert window.heard(run)
    assert window.heard("RunSuccessEvent")
    assert window.complaints() == []
    window.page.close()


@pytest.mark.parametrize("origin", [EVIL, "rebound"])
def test_other_pages_start_nothing_through_the_proxy(
    origin: str, attack: Attack, proxied: str, database: psycopg.Connection
) -> None:
    read = attack.run(origin, proxied, Booty("5b1e", "/server_info"))
    assert {how for how, text in read.items() if MISDIRECTED not in text} == set()
    assert database.execute(STARTED).fetchone() == (0,)
