"""The distribution's Chromium, found on this machine and driven by Playwright; never downloaded."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from playwright.sync_api import Browser, Page, expect, sync_playwright

from batch_assets.domain.errors import ConfigurationError

NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
WIDTH: Final = 1400
HEIGHT: Final = 900
PATIENCE_MILLISECONDS: Final = 20_000

OPTIONS: Final = (
    "--no-sandbox",  # root has none, and the pages are our own
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
NOWHERE: Final = "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost, EXCLUDE 0.0.0.0"
"""Nothing but this machine can be reached, whatever a page asks for."""


def find_chromium(path: str | None = None) -> str:
    """The browser's program, from `path` or the PATH. Raises `ConfigurationError`."""
    for name in NAMES:
        found = shutil.which(name, path=path)
        if found is not None:
            return found
    raise ConfigurationError(
        f"No browser is installed ({', '.join(NAMES)} are not on the PATH): install the "
        "distribution's, on Debian and Ubuntu with `apt-get install chromium`."
    )


@contextmanager
def chromium(names: Mapping[str, str] | None = None) -> Iterator[Browser]:
    """A browser without a window, with a new profile.

    `names` leads names to addresses of this machine, with a port or without one.
    """
    program = find_chromium()
    known = "".join(f"MAP {name} {address}, " for name, address in (names or {}).items())
    options = [*OPTIONS, f"--host-resolver-rules={known}{NOWHERE}"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=options)
        try:
            yield browser
        finally:
            browser.close()


def new_page(browser: Browser, height: int = HEIGHT, **options: Any) -> Page:
    """A page that has nothing to do with any other, whose waits are bounded.

    `options` are what else its profile has, such as a login.
    """
    page = browser.new_page(
        viewport={"width": WIDTH, "height": height},
        locale="en-GB",
        timezone_id="UTC",
        reduced_motion="reduce",
        **options,
    )
    page.set_default_timeout(PATIENCE_MILLISECONDS)
    expect.set_options(timeout=PATIENCE_MILLISECONDS)
    return page
