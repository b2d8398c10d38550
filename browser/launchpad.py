"""A job's Launchpad, used as a person does: type a configuration, read what is wrong, launch."""

import re
from typing import Final

from playwright.sync_api import expect

from browser.pages import LOCATION
from browser.window import Window

_ENDED: Final = re.compile("^(Success|Failure|Canceled)$")
_RUN: Final = re.compile(r"/runs/[0-9a-f-]{36}$")
_RUN_MILLISECONDS: Final = 60_000


class Launchpad:
    """The Launchpad of one job in a window."""

    def __init__(self, window: Window, job: str) -> None:
        self._window = window
        window.open(f"{LOCATION}/jobs/{job}/playground", "Launch Run")
        self._button = window.page.get_by_role("button", name="Launch Run")

    def type(self, configuration: str) -> None:
        """Replace the configuration by this YAML."""
        editor = self._window.page.locator(".CodeMirror").first
        editor.click()
        self._window.page.keyboard.press("Control+A")
        # At once, as from the clipboard: single keys would be indented and completed.
        self._window.page.keyboard.insert_text(configuration)

    def show_fields(self) -> None:
        """Have the fields explained that can be given where the configuration ends."""
        expect(self._button).to_be_enabled()
        self._window.page.locator(".CodeMirror-line").last.click()
        self._window.page.keyboard.press("Control+End")
        self._window.page.keyboard.press("ArrowUp")
        self._window.page.keyboard.press("End")
        self._window.page.wait_for_timeout(500)

    def complaint(self, about: str) -> str:
        """What the Launchpad says of the configuration, once it says something `about` that."""
        expect(self._button).to_be_disabled()
        heading = self._window.page.get_by_text("Errors", exact=True)
        said = heading.locator("xpath=ancestor::*[2]").first
        expect(said).to_contain_text(about)
        return said.inner_text()

    def run(self) -> tuple[str, str]:
        """Launch a run and watch it to its end; gives its id, and the word for how it ended."""
        page = self._window.page
        expect(self._button).to_be_enabled()
        self._button.click()
        page.wait_for_url(_RUN)
        ended = page.get_by_text(_ENDED).first
        ended.wait_for(timeout=_RUN_MILLISECONDS)
        return page.url.rpartition("/")[2], ended.inner_text()
