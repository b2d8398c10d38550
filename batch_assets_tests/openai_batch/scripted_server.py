"""A real HTTP server on loopback that answers as each test tells it, faults included."""

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Literal

_CHUNK = 64 * 1024


@dataclass(frozen=True)
class Reply:
    """One answer. `length`: what Content-Length says; `None` leaves it out and closes instead.

    `raw` is sent in place of all of it, with the status line and the headers that it holds.
    """

    status: int = 200
    body: bytes | Callable[[], Iterator[bytes]] = b"{}"
    headers: Mapping[str, str] = field(default_factory=lambda: {"content-type": "application/json"})
    length: int | Literal["body"] | None = "body"
    delay: float = 0.0
    drop: Literal["unread", "unanswered"] | None = None
    has_date: bool = True
    """False: the headers say themselves when it is, by the server's clock."""
    raw: Callable[[], Iterator[bytes]] | None = None


def as_json(data: object, status: int = 200, **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, json.dumps(data).encode(), {"content-type": "application/json", **named})


def api_error(
    status: int,
    code: str | None = None,
    error_type: str | None = None,
    *,
    message: str = "",
    param: str | None = None,
    **headers: str,
) -> Reply:
    error = {"message": message, "type": error_type, "param": param, "code": code}
    return as_json({"error": error}, status, **headers)


@dataclass
class Call:
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    length: int


class ScriptedServer:
    """Replies in the order they were given; the last one is for all calls after it."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.replies: list[Reply] = [as_json({})]
        self.route: Callable[[Call], Reply | None] = lambda _call: None
        """What a call is answered with that has an answer of its own."""
        self.keep_bytes = 100_000
        self._lock = threading.Lock()

    def answer(self, *replies: Reply) -> None:
        self.replies = list(replies)
        self.calls.clear()

    def next_reply(self, call: Call) -> Reply:
        with self._lock:
            self.calls.append(call)
            reply = self.route(call)
            if reply is not None:
                return reply
            return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]

    @property
    def methods(self) -> list[str]:
        return [f"{call.method} {call.path.partition('?')[0]}" for call in self.calls]

    @contextmanager
    def listening(self, certificate: Path | None = None) -> Iterator[str]:
        """The URL while it listens, over TLS if it has a certificate (a file with its key)."""
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                try:
                    super().handle_one_request()
                except OSError:
                    self.close_connection = True

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name there)
                pass

            def do_GET(self) -> None:
                _handle(self, server)

            do_POST = do_DELETE = do_CONNECT = do_GET  # noqa: N815 (their names there)

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
            http.daemon_threads = True
            scheme = "http" if certificate is None else "https"
            if certificate is not None:
                http.socket = _over_tls(http.socket, certificate)
            thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            try:
                yield f"{scheme}://127.0.0.1:{http.server_address[1]}/v1"
            finally:
                http.shutdown()
                thread.join()


def _over_tls(listener: socket.socket, certificate: Path) -> socket.socket:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    return tls.wrap_socket(listener, server_side=True)


def _handle(request: BaseHTTPRequestHandler, server: ScriptedServer) -> None:
    length = int(request.headers.get("content-length") or 0)
    call = Call(request.command, request.path, dict(request.headers), b"", length)
    reply = server.next_reply(call)
    if reply.drop == "unread":
        _close(request)
        return
    call.body = _drain(request, length, server.keep_bytes)
    time.sleep(reply.delay)
    if reply.drop == "unanswered":
        _close(request)
        return
    if reply.raw is None:
        _send(request, reply)
        return
    for piece in reply.raw():
        request.wfile.write(piece)
    _close(request)


def _drain(request: BaseHTTPRequestHandler, length: int, keep: int) -> bytes:
    kept = b""
    while length > 0:
        data = request.rfile.read(min(length, _CHUNK))
        if not data:
            break
        length -= len(data)
        kept += data[: max(keep - len(kept), 0)]
    return kept


def _send(request: BaseHTTPRequestHandler, reply: Reply) -> None:
    body = iter([reply.body]) if isinstance(reply.body, bytes) else reply.body()
    request.send_response_only(reply.status)
    if reply.has_date:
        request.send_header("date", request.date_time_string())
    for name, value in reply.headers.items():
        request.send_header(name, value)
    length = reply.length
    if length == "body":
        length = len(reply.body) if isinstance(reply.body, bytes) else None
    if length is None:
        request.send_header("connection", "close")
    else:
        request.send_header("content-length", str(length))
    request.end_headers()
    sent = 0
    for piece in body:
        request.wfile.write(piece)
        sent += len(piece)
    if length is None or sent < length:
        _close(request)


def _close(request: BaseHTTPRequestHandler) -> None:
    request.close_connection = True
    request.wfile.flush()
    request.connection.shutdown(socket.SHUT_RDWR)
