"""Somebody else's page (`attacker.html` with `attacker.js`), and where it may come from."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import BrowserContext, Frame, Page, Request

from browser.running import HOST

PAGE: Final = Path(__file__).with_suffix(".html")
PROGRAM: Final = PAGE.with_suffix(".js")
EVIL: Final = "evil.example"
"""A name that leads to this machine; with the UI's port, as after DNS rebinding."""
_ATTACK: Final = "given => attack(given)"
_LOOK_MILLISECONDS: Final = 200
_LOOKS: Final = 15


@dataclass(frozen=True)
class Booty:
    """What is worth reading: a run with its events, and the address of a log."""

    run: str
    log: str
    """The path of one that an op has written."""


@contextmanager
def attacker() -> Iterator[str]:
    """The address of a server that has the page at every path, and leads wherever it is told."""
    server = ThreadingHTTPServer((HOST, 0), _Attacker)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://{HOST}:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Attacker(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        address = urlsplit(self.path)
        if address.path == "/redirect":
            self.send_response(307)
            self.send_header("Location", parse_qs(address.query)["to"][0])
            self.end_headers()
            return
        is_program = address.path == f"/{PROGRAM.name}"
        self.send_response(200)
        self.send_header("Content-Type", "text/javascript" if is_program else "text/html")
        self.end_headers()
        if address.path == "/frame":
            self.wfile.write(b'<iframe sandbox="allow-scripts allow-forms allow-popups" src="/">')
        else:
            self.wfile.write((PROGRAM if is_program else PAGE).read_bytes())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name there)
        """Say nothing."""


class Attack:
    """One visit to the page, in windows that are closed afterwards."""

    def __init__(self, context: BrowserContext, attackers: str) -> None:
        self._context = context
        self._attackers = attackers
        self._open: set[Request] = set()
        context.on("request", self._on_request)
        context.on("requestfinished", self._on_end)
        context.on("requestfailed", self._on_end)

    def run(self, origin: str, target: str, booty: Booty) -> dict[str, str]:
        """What the page could read of the UI at `target`, by how."""
        page = self._context.new_page()
        if origin == "rebound":
            target = target.replace(urlsplit(target).hostname or "", EVIL)
        given = {
            "target": target,
            "from": origin,
            "run": booty.run,
            "log": target + booty.log,
            "elsewhere": self._attackers,
        }
        read: dict[str, str] = self._visit(page, origin, target).evaluate(_ATTACK, given)
        # Until what was asked is answered, what it has started is not known; some is never.
        for _ in range(_LOOKS):
            page.wait_for_timeout(_LOOK_MILLISECONDS)
            if not self._open:
                break
        for opened in self._context.pages:
            opened.close()
        return read

    def _on_request(self, request: Request) -> None:
        self._open.add(request)

    def _on_end(self, request: Request) -> None:
        self._open.discard(request)

    def _visit(self, page: Page, origin: str, target: str) -> Page | Frame:
        port = urlsplit(self._attackers).port
        if origin == "rebound":
            # The name led to the attacker first, who sent the program, and leads to the UI now.
            page.goto(f"{target}/server_info")
            page.add_script_tag(path=PROGRAM)
        elif origin == "file":
            page.goto(PAGE.as_uri())
        elif origin == "sandbox":
            page.goto(f"{self._attackers}/frame")
            return next(frame for frame in page.frames if frame.parent_frame is not None)
        else:
            page.goto(f"http://{origin}:{port}/")
        return page
