"""A connection pooler in transaction mode, as small as can be: one server session for all clients.

It speaks PostgreSQL's own protocol. The first client's login goes through to the server; later
clients are let in with what the server said then. As PgBouncer does, it tells every client a
process number that is not the server session's, and refuses settings at login, or drops them
without a word.
"""

import contextlib
import re
import secrets
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import URL, make_url

_NO_ENCRYPTION = (80877103, 80877104)  # SSLRequest, GSSENCRequest
_REFUSED = b"SFATAL\0C08P01\0Munsupported startup parameter: options\0\0"
_REFUSAL = b"E" + struct.pack("!I", len(_REFUSED) + 4) + _REFUSED
_OPTIONS = re.compile(rb"\0options\0[^\0]*\0")
_READY, _KEY, _TERMINATE, _COPYING = b"Z", b"K", b"X", b"G"
_ANSWERED = (b"S", b"Q")  # Sync, Query
_COPY_ENDS = (b"c", b"f")  # CopyDone, CopyFail


@contextmanager
def transaction_pooler(url: str, *, drops_options: bool = False) -> Iterator[str]:
    """The URL of the same database through a pooler on loopback."""
    listener = socket.create_server(("127.0.0.1", 0))
    pooler = _Pooler(_connect(make_url(url)), drops_options=drops_options)
    threading.Thread(target=pooler.serve, args=[listener], daemon=True).start()
    port = listener.getsockname()[1]
    pooled = make_url(url).difference_update_query(["host", "port"])
    try:
        yield (
            pooled.set(host="127.0.0.1", port=port)
            .update_query_dict({"sslmode": "disable"})
            .render_as_string(hide_password=False)
        )
    finally:
        # Waking `accept` up is what ends the thread; closing alone does not.
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        pooler.close()


def _connect(url: URL) -> socket.socket:
    host = str(url.query.get("host", url.host))
    port = url.port or 5432
    if not host.startswith("/"):
        return socket.create_connection((host, port))
    server = socket.socket(socket.AF_UNIX)
    server.connect(f"{host}/.s.PGSQL.{port}")
    return server


class _Pooler:
    def __init__(self, server: socket.socket, *, drops_options: bool) -> None:
        self._server = server
        self._drops_options = drops_options
        self._turn = threading.Lock()
        self._welcome = b""
        self._clients: list[socket.socket] = []

    def serve(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                # Small messages in turns: each would wait for the other side's acknowledgement.
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._clients.append(client)
                threading.Thread(target=self._attend, args=[client], daemon=True).start()

    def close(self) -> None:
        for opened in (*self._clients, self._server):
            opened.close()

    def _attend(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client:
            startup = _startup(client)
            if _OPTIONS.search(startup):
                if not self._drops_options:
                    client.sendall(_REFUSAL)
                    return
                startup = _without_options(startup)
            with self._turn:
                if not self._welcome:
                    self._welcome = self._log_in(client, startup)
            client.sendall(self._welcome)
            self._relay(client)

    def _log_in(self, client: socket.socket, startup: bytes) -> bytes:
        """Let the first client answer the server; what the server says afterwards is for all."""
        self._server.sendall(startup)
        while True:
            kind, message = _message(self._server)
            if kind == b"R" and message[5:9] == b"\0\0\0\0":
                break
            client.sendall(message)
            # AuthenticationSASLFinal (12) wants no answer.
            if kind == b"R" and message[5:9] != struct.pack("!I", 12):
                self._server.sendall(_message(client)[1])
        welcome = message
        while kind != _READY:
            kind, message = _message(self._server)
            if kind == _KEY:
                message = message[:5] + struct.pack("!I", secrets.randbits(31)) + message[9:]
            welcome += message
        return welcome

    def _relay(self, client: socket.socket) -> None:
        kind, message = _message(client)
        while kind != _TERMINATE:
            with self._turn:
                state = b"T"
                while state != b"I":
                    self._server.sendall(message)
                    if kind in _ANSWERED or (state == _COPYING and kind in _COPY_ENDS):
                        state = self._answer(client)
                    if state != b"I":
                        kind, message = _message(client)
            kind, message = _message(client)

    def _answer(self, client: socket.socket) -> bytes:
        """Pass the server's answer on; says whether a transaction is open (T, E) or not (I), or
        whether the server waits for the rows of a COPY.
        """
        while True:
            kind, message = _message(self._server)
            client.sendall(message)
            if kind == _READY:
                return message[5:6]
            if kind == _COPYING:
                return kind


def _without_options(startup: bytes) -> bytes:
    kept = _OPTIONS.sub(b"\0", startup[4:])
    return struct.pack("!I", len(kept) + 4) + kept


def _startup(client: socket.socket) -> bytes:
    while True:
        length = _exactly(client, 4)
        body = _exactly(client, struct.unpack("!I", length)[0] - 4)
        if struct.unpack("!I", body[:4])[0] not in _NO_ENCRYPTION:
            return length + body
        client.sendall(b"N")


def _message(peer: socket.socket) -> tuple[bytes, bytes]:
    """The kind of the next message, and the whole message."""
    head = _exactly(peer, 5)
    return head[:1], head + _exactly(peer, struct.unpack("!I", head[1:])[0] - 4)


def _exactly(peer: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = peer.recv(count - len(data))
        if not part:
            raise ConnectionError
        data += part
    return data
