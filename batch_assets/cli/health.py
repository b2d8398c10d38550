"""What `batch-assets serve` says of itself to probes: `/live` and `/ready`.

`/live` is answered as long as the supervisor works. `/ready` asks the UI's GraphQL, and so goes all
the way: web server, database, code server, and the daemon by its heartbeats.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import urlsplit

SILENT_SECONDS: Final = 300
"""The daemon writes its heartbeats every 30 seconds, and after a tick that has taken long."""
_ANSWER_SECONDS: Final = 10.0
_QUERY: Final = """{
    instance { daemonHealth { allDaemonStatuses { daemonType required lastHeartbeatTime } } }
    workspaceOrError { ... on Workspace { locationEntries { locationOrLoadError { __typename } } } }
}"""
Answer = tuple[int, Mapping[str, Any]]
"""A status of HTTP, and the document."""


def problems(asked: Mapping[str, Any], now: float) -> list[str]:
    """What is not well, by what the UI answered at a moment (seconds since 1970); a line each."""
    daemons = asked["instance"]["daemonHealth"]["allDaemonStatuses"]
    silent = [
        str(one["daemonType"])
        for one in daemons
        if one["required"] and now - (one["lastHeartbeatTime"] or 0) > SILENT_SECONDS
    ]
    entries = asked["workspaceOrError"].get("locationEntries", [])
    loaded = [
        (entry["locationOrLoadError"] or {}).get("__typename") == "RepositoryLocation"
        for entry in entries
    ]
    found = []
    if silent:
        found.append(f"No heartbeat of the daemon for {SILENT_SECONDS} s: {', '.join(silent)}.")
    if not loaded or not all(loaded):
        found.append("The code location is not loaded.")
    return found


def readiness(ui: str, pids: Mapping[str, int | None], away: str = "") -> Answer:
    """Ask the UI at this address how everything is; 200, or 503 with what is not well.

    `away` says why the database does not answer, if that is known: then nothing else could.
    """
    found = [f"The {name} is being started." for name, pid in pids.items() if pid is None]
    if away:
        found.append(away)
    if not found:
        found = _asked(ui)
    document = {"ready": not found, "problems": found, "processes": dict(pids)}
    return (503 if found else 200), document


def _asked(ui: str) -> list[str]:
    import httpx2

    # By a name that every UI has, whatever address it listens on.
    headers = {"Host": f"localhost:{urlsplit(ui).port}"}
    try:
        answer = httpx2.post(
            f"{ui}/graphql",
            json={"query": _QUERY},
            headers=headers,
            timeout=_ANSWER_SECONDS,
            trust_env=False,
        )
        document = answer.json()
    except httpx2.TimeoutException:
        return [f"The web server has not answered within {_ANSWER_SECONDS:.0f} s."]
    except httpx2.HTTPError:
        return ["The web server does not answer."]
    except ValueError:
        return [f"What answers at {ui} is not Dagster's web server."]
    if not isinstance(document, dict) or document.get("errors") or not document.get("data"):
        return ["The web server cannot say how Dagster is: its database may be away."]
    return problems(document["data"], time.time())


@contextmanager
def health_server(
    host: str, port: int, ready: Callable[[], Answer]
) -> Iterator[ThreadingHTTPServer]:
    """Answer probes meanwhile: GET and HEAD of `/live` and `/ready`, anything else is 404."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = {"/live": lambda: (200, {"live": True}), "/ready": ready}
            answer = known.get(urlsplit(self.path).path)
            self._send(*(answer() if answer is not None else (404, {"paths": sorted(known)})))

        do_HEAD = do_GET  # noqa: N815 (its name there)

        def _send(self, status: int, document: Mapping[str, Any]) -> None:
            body = json.dumps(document).encode() + b"\n"
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name there)
            """Say nothing of a probe."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        address_family = _family(host)

    server = Server((host, port), Handler)
    thread = threading.Thread(target=server.serve_forever, name="health", daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def _family(host: str) -> int:
    import socket

    return socket.AF_INET6 if ":" in host else socket.AF_INET
