"""The distribution's Chromium, found on this machine and driven by Playwright; never downloaded."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

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
    # Nothing but this machine can be reached, whatever a page asks for.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


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
def chromium() -> Iterator[Browser]:
    """A browser without a window, with a new profile."""
    program = find_chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(OPTIONS))
        try:
            yield browser
        finally:
            browser.close()


def new_page(browser: Browser, height: int = HEIGHT) -> Page:
    """A page that has nothing to do with any other, whose waits are bounded."""
    page = browser.new_page(
        viewport={"width": WIDTH, "height": height},
        locale="en-GB",
        timezone_id="UTC",
        reduced_motion="reduce",
    )
    page.set_default_timeout(PATIENCE_MILLISECONDS)
    expect.set_options(timeout=PATIENCE_MILLISECONDS)
    return page
