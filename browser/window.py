"""A window of the browser on the UI that listens for everything that a person should never see."""

import re
from typing import Final

from playwright.sync_api import ConsoleMessage, Error, Page, Request, Response, WebSocket, expect

SHOWN: Final = re.compile(
    r"An unexpected error|PythonError|Unexpected GraphQL error|[Ss]omething went wrong"
    r"|Traceback|[Nn]ot found|Could not|could not be loaded|Failed to (?:fetch|load)"
    r"|(?:^|\n)Error(?:\n|:|$)"
)
"""What Dagster's pages say when they cannot show what was asked for."""

ANSWERED: Final = re.compile(r'"__typename": ?"PythonError"|"errors": ?\[')
"""What its GraphQL says then, whether or not the page shows it."""

ALERTS: Final = "[class*=intent-danger], [role=alert]:not(:empty)"
_FOLLOW: Final = """path => {
    history.pushState({}, "", path);
    dispatchEvent(new PopStateEvent("popstate"));
}"""
_LOOK_MILLISECONDS: Final = 150
_LOOKS: Final = 100
_FOLDED: Final = re.compile(r"[\s\u200b]+")


class Window:
    """One window. Its waits are bounded by the browser's; whoever waits in vain gets an error.

    Warnings of the console are left alone: Dagster's own code calls its GraphQL client in ways
    that this will not allow one day, and says so on each page. An error of the console, an
    exception in the page, a refused call and a call to another address are all counted as wrong.
    """

    def __init__(self, page: Page, url: str) -> None:
        self.url = url
        self.page = page
        self._wrong: list[str] = []
        self._answers: list[Response] = []
        self._asked = 0
        self._heard: list[str] = []
        self.page.on("websocket", self._on_websocket)
        self.page.on("console", self._on_console)
        self.page.on("pageerror", self._on_exception)
        self.page.on("request", self._on_request)
        self.page.on("requestfinished", self._on_end)
        self.page.on("requestfailed", self._on_end)
        self.page.on("response", self._on_response)

    def open(self, path: str, shows: str) -> None:
        """Go to a page, and wait until it shows a text, and nothing is asked for any more.

        Within the UI as a link of it does, which takes a quarter of the time of loading it anew.
        """
        if self.page.url.startswith(self.url) and self.page.url != self.url + path:
            self.page.evaluate(_FOLLOW, path)
        else:
            self._asked = 0
            self.page.goto(self.url + path)
        self.wait_for(shows)

    def wait_for(self, text: str) -> None:
        """Wait until a text is on the page, however its words are broken into lines."""
        words = (re.escape(word) for word in text.split())
        expect(self.page.locator("body")).to_contain_text(re.compile(r"\s+".join(words)))
        self._settle()

    def show_plots(self) -> int:
        """On an asset's page, show its plots and scroll to them; gives how many there are."""
        self.page.get_by_text("Plots", exact=True).click()
        plots = self.page.locator("canvas")
        plots.first.wait_for()
        self._scroll_to_metadata()
        return plots.count()

    def show_table(self) -> None:
        """On an asset's page, show its latest metadata: the UI remembers what was chosen last."""
        self.page.get_by_text("Table", exact=True).click()
        self._scroll_to_metadata()

    def show_picture(self) -> int:
        """On the page of an asset that has a picture, open it; gives how many there are."""
        self.show_table()
        self.page.get_by_text("[Show Markdown]", exact=True).first.click()
        pictures = self.page.get_by_role("dialog").locator("img[src^='data:image']")
        pictures.first.wait_for()
        self._settle()
        return pictures.count()

    def show_last_hour(self) -> None:
        """On the timeline, show one hour instead of twelve."""
        self.page.get_by_text("1hr", exact=True).click()
        self._settle()

    def text(self) -> str:
        """What can be read on the page, in one line."""
        return _FOLDED.sub(" ", self.page.inner_text("body"))

    def complaints(self) -> list[str]:
        """What was wrong since the last time that this was asked."""
        said = self.page.inner_text("body")
        shown = [f"the page says {found.group().strip()!r}" for found in SHOWN.finditer(said)]
        alerts = [
            f"an alert says {alert.inner_text()!r}"
            for alert in self.page.locator(ALERTS).all()
            if alert.is_visible()
        ]
        answered = [
            f"GraphQL answers with an error: {body[:500]}"
            for body in map(_body, self._answers)
            if ANSWERED.search(body)
        ]
        complaints = [*self._wrong, *shown, *alerts, *answered]
        self._wrong.clear()
        self._answers.clear()
        return complaints

    def heard(self, text: str) -> bool:
        """Whether a WebSocket has brought this text."""
        return any(text in message for message in self._heard)

    def _scroll_to_metadata(self) -> None:
        self._settle()
        heading = self.page.get_by_text("Metadata", exact=True)
        heading.evaluate("heading => heading.scrollIntoView({block: 'start'})")
        self._settle()

    def _settle(self) -> None:
        """Wait until nothing is asked for any more; what is drawn then is drawn."""
        for _ in range(_LOOKS):
            self.page.wait_for_timeout(_LOOK_MILLISECONDS)
            if self._asked <= 0:
                return
        self._wrong.append(f"{self._asked} requests of the page have not been answered")

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self._wrong.append(f"the console says {message.text[:300]!r}")

    def _on_exception(self, error: Error) -> None:
        self._wrong.append(f"the page's program failed: {str(error)[:300]}")

    def _on_request(self, request: Request) -> None:
        self._asked += 1
        if not request.url.startswith((self.url, "data:", "blob:")):
            self._wrong.append(f"the page asks for {request.url[:100]}")

    def _on_end(self, _: Request) -> None:
        self._asked -= 1

    def _on_websocket(self, socket: WebSocket) -> None:
        socket.on("framereceived", self._on_message)

    def _on_message(self, message: str | bytes) -> None:
        self._heard.append(message if isinstance(message, str) else message.decode())

    def _on_response(self, response: Response) -> None:
        if response.status >= 400:
            self._wrong.append(f"{response.status} for {response.url[:200]}")
        if response.url.endswith("/graphql"):
            self._answers.append(response)


def _body(response: Response) -> str:
    """An answer's text; empty when the page was left before it came."""
    try:
        return response.text()
    except Error:
        return ""
