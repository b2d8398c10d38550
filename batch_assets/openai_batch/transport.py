"""The way to the server: proxy, certificates and headers, and a transport held to a call's bounds.

A proxy and certificates are taken from the environment as other programs take them, and so are the
headers that the SDK adds. What is wrong with them is said here, before anything is sent: the
libraries would quote a value, which may be a secret.
"""

import os
import re
import ssl
import time
import zlib
from collections.abc import Iterable, Iterator
from typing import Any, cast
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass

import httpcore2
import httpx2

from batch_assets.domain.errors import ConfigurationError
from batch_assets.domain.hosts import is_loopback
from batch_assets.openai_batch.account import Project
from batch_assets.openai_batch.concurrency_limit import ConcurrencyLimit
from batch_assets.openai_batch.limits import Bounds, current
from batch_assets.openai_batch.sdk_errors import retry_after_seconds

ACCEPTED_ENCODING = "gzip"
"""The one packing that is asked for, and unpacked."""

_MOST_ERROR_BYTES = 1_000_000
"""Of an answer that says what went wrong, also where a file was asked for."""

_TOO_MUCH = frozenset({429, 503})
"""The server has no room for this call beside the others."""

_UNCHANGED = "identity"
_UNPACKED = frozenset({"gzip", "x-gzip", "deflate"})
_PIECE = 64 * 1024
_ANY_HEADER = 32 + zlib.MAX_WBITS

_HEADERS = ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_CUSTOM_HEADERS")
_HEADER_NAME = re.compile(r"[0-9A-Za-z!#$%&'*+.^_`|~-]+")
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")


class BoundedTransport(httpx2.HTTPTransport):
    """Ends a call that takes too long or brings too much, in the middle of whatever it does."""

    def __init__(
        self,
        *,
        verify: ssl.SSLContext | bool,
        limits: httpx2.Limits,
        proxy: httpx2.Proxy | None,
        limit: ConcurrencyLimit,
    ) -> None:
        """`limit` is told of each answer whether there was room for the call."""
        self._limit = limit
        super().__init__(verify=verify, limits=limits, proxy=proxy, trust_env=False)
        # The library takes a backend for its pools, but not for its transports. Only here can it be
        # seen how long an answer's headers take: each wait for a byte of them is another time-out.
        pool = self._pool
        pool._network_backend = _Backend(pool._network_backend)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request; the answer's body comes unpacked, within the bounds of the call."""
        if not isinstance(request.stream, httpx2.ByteStream):
            request.stream = _Joined(cast("httpx2.SyncByteStream", request.stream))
        sent_at = time.monotonic()
        response = super().handle_request(request)
        self._note(response, sent_at)
        bounds = current()
        return response if bounds is None else _bounded(response, bounds)

    def _note(self, response: httpx2.Response, sent_at: float) -> None:
        if response.status_code in _TOO_MUCH:
            self._limit.note_refused(sent_at)
        elif response.status_code < 500:
            self._limit.note_taken(response.headers, time.monotonic() - sent_at)


def _bounded(response: httpx2.Response, bounds: Bounds) -> httpx2.Response:
    """Let the body come unpacked, and within the bounds of the call."""
    headers = response.headers
    encoding = headers.pop("content-encoding", _UNCHANGED).strip().lower()
    if encoding != _UNCHANGED:
        headers.pop("content-length", None)
    most = None
    if response.status_code >= 400:
        most = _MOST_ERROR_BYTES
        wait = retry_after_seconds(headers)
        if wait is not None and wait > bounds.seconds_left:
            # The SDK would sleep for so long, and be cut off then.
            headers["x-should-retry"] = "false"
    stream = cast("httpx2.SyncByteStream", response.stream)
    response.stream = _BoundedStream(stream, bounds, encoding, most=most)
    return response


class _Joined(httpx2.SyncByteStream):
    """A body that is sent in pieces of some size: each is a call of the system's.

    A form comes in a piece for each boundary, header, field and line break.
    """

    def __init__(self, stream: httpx2.SyncByteStream) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        held: list[bytes] = []
        size = 0
        for piece in self._stream:
            held.append(piece)
            size += len(piece)
            if size >= _PIECE:
                yield b"".join(held)
                held, size = [], 0
        if held:
            yield b"".join(held)

    def close(self) -> None:
        self._stream.close()


class _BoundedStream(httpx2.SyncByteStream):
    """A body that is read within the bounds of its call; at most `most` bytes, where given."""

    def __init__(
        self, stream: httpx2.SyncByteStream, bounds: Bounds, encoding: str, *, most: int | None
    ) -> None:
        self._stream = stream
        self._bounds = bounds
        self._encoding = encoding
        self._most = most

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces():
            self._bounds.receive(len(piece), most=self._most)
            yield piece

    def _pieces(self) -> Iterable[bytes]:
        if self._encoding == _UNCHANGED:
            return self._stream
        if self._encoding in _UNPACKED:
            return _unpacked(self._stream)
        raise httpx2.DecodingError("a packing that was not asked for")

    def close(self) -> None:
        self._stream.close()


def _unpacked(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Unpack piece by piece, so that no more is in memory than one piece of what it unpacks to."""
    unpacker = zlib.decompressobj(_ANY_HEADER)
    has_begun = False
    try:
        for packed in chunks:
            rest = packed
            while rest:
                if unpacker.eof:
                    unpacker = zlib.decompressobj(_ANY_HEADER)
                has_begun = True
                yield unpacker.decompress(rest, _PIECE)
                rest = unpacker.unconsumed_tail or unpacker.unused_data
        yield unpacker.flush()
    except zlib.error:
        raise httpx2.DecodingError("the body cannot be unpacked") from None
    if has_begun and not unpacker.eof:
        raise httpx2.RemoteProtocolError("the packed body is cut")


class _Backend(httpcore2.NetworkBackend):
    """Opens connections on which each wait is cut to what the call has left."""

    def __init__(self, backend: httpcore2.NetworkBackend) -> None:
        self._backend = backend

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore2.NetworkStream:
        stream = self._backend.connect_tcp(
            host, port, _left(timeout, httpcore2.ConnectTimeout), local_address, socket_options
        )
        return _Stream(stream)

    def sleep(self, seconds: float) -> None:
        self._backend.sleep(seconds)


class _Stream(httpcore2.NetworkStream):
    """A connection that calls share, one after the other: each wait is within the current one."""

    def __init__(self, stream: httpcore2.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(timeout, httpcore2.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _left(timeout, httpcore2.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.NetworkStream:
        left = _left(timeout, httpcore2.ConnectTimeout)
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, left))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _left(timeout: float | None, is_over: type[Exception]) -> float | None:
    bounds = current()
    if bounds is None:
        return timeout
    left = bounds.seconds_left
    if left <= 0:
        raise is_over("the call takes too long")
    return left if timeout is None else min(timeout, left)


def proxy_of(base_url: str) -> httpx2.Proxy | None:
    """Find the proxy that the environment has for a server; `None` for one on this machine.

    Raises:
        ConfigurationError: What it names is no proxy.
    """
    name = proxy_variable(base_url)
    if name is None:
        return None
    proxies = getproxies_environment()
    url = proxies[name.removesuffix("_PROXY").lower()]
    try:
        whole = url if "://" in url else f"http://{url}"
        proxy = httpx2.Proxy(whole)
        usable = bool(urlsplit(whole).hostname) and proxy.url.scheme in {"http", "https"}
    except (httpx2.InvalidURL, ValueError):
        usable = False
    if not usable:
        raise ConfigurationError(
            f"{name} is no address of a proxy: set it to one such as http://proxy.example:3128, "
            "or take it away."
        )
    return proxy


def proxy_variable(base_url: str) -> str | None:
    """Find the variable, in capitals, that names the proxy for a server."""
    parts = urlsplit(base_url)
    proxies = getproxies_environment()
    if is_loopback(parts.hostname or "") or proxy_bypass(parts.netloc, proxies):
        return None
    return next(
        (f"{name.upper()}_PROXY" for name in (parts.scheme, "all") if name in proxies), None
    )


def trusted(base_url: str) -> ssl.SSLContext:
    """Load the certificates that are trusted: those of the environment, or this machine's.

    Raises:
        ConfigurationError: The environment names some that cannot be read.
    """
    if urlsplit(base_url).scheme == "http":
        # Reading a hundred certificates takes a while, and none is asked for.
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        return httpcore2.default_ssl_context()
    except OSError:
        name = next((name for name in _CERTIFICATES if os.environ.get(name)), None)
        if name is None:
            raise
    raise ConfigurationError(
        f"{name} names no certificates that can be read: set it to a file in PEM format, or take "
        "it away."
    )


def check_headers(project: Project) -> None:
    """Check the headers that the SDK adds, from the environment or for a project.

    Raises:
        ConfigurationError: One of them cannot be a header.
    """
    values = {
        "OPENAI_CUSTOM_HEADERS": os.environ.get("OPENAI_CUSTOM_HEADERS"),
        "OPENAI_ORG_ID": project.organization,
        "OPENAI_PROJECT_ID": project.id,
    }
    for name in _HEADERS:
        value = values[name] or ""
        is_custom = name == "OPENAI_CUSTOM_HEADERS"
        lines = value.split("\n") if is_custom else [value]
        if not all(line.isascii() and line.isprintable() for line in lines):
            raise ConfigurationError(
                f"{name} holds a line break or another character that no header has: set it to "
                "the value alone, or take it away."
            )
        # The SDK leaves out a line without a colon.
        names = [line.partition(":")[0].strip() for line in lines if ":" in line]
        if is_custom and not all(map(_HEADER_NAME.fullmatch, names)):
            raise ConfigurationError(
                f"{name} holds a name that no header has: give each header a line of its own, as "
                "in `Name: value`, or take it away."
            )
