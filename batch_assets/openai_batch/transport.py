"""What the SDK's clients send through: the HTTP library's transport, held to a call's bounds."""

import ssl
import zlib
from collections.abc import Iterable, Iterator
from typing import Any, cast

import httpcore2
import httpx2

from batch_assets.openai_batch.bounds import Bounds, current
from batch_assets.openai_batch.failures import retry_after_seconds

ACCEPTED_ENCODING = "gzip"
"""The one packing that is asked for, and unpacked."""

_MOST_ERROR_BYTES = 1_000_000
"""Of an answer that says what went wrong, also where a file was asked for."""

_UNPACKED = frozenset({"gzip", "x-gzip", "deflate"})
_PIECE = 64 * 1024
_ANY_HEADER = 32 + zlib.MAX_WBITS


class BoundedTransport(httpx2.HTTPTransport):
    """Ends a call that takes too long or brings too much, in the middle of whatever it does."""

    def __init__(
        self, *, verify: ssl.SSLContext | bool, limits: httpx2.Limits, proxy: httpx2.Proxy | None
    ) -> None:
        super().__init__(verify=verify, limits=limits, proxy=proxy, trust_env=False)
        # The library takes a backend for its pools, but not for its transports. Only here can it be
        # seen how long an answer's headers take: each wait for a byte of them is another time-out.
        pool = self._pool
        pool._network_backend = _Backend(pool._network_backend)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """The answer; its body comes unpacked, within the bounds of the call."""
        response = super().handle_request(request)
        bounds = current()
        if bounds is None:
            return response
        headers = response.headers.copy()
        encoding = headers.pop("content-encoding", "identity").strip().lower()
        if encoding != "identity":
            headers.pop("content-length", None)
        wait = retry_after_seconds(headers)
        if wait is not None and wait > bounds.seconds_left:
            # The SDK would sleep for so long, and be cut off then.
            headers["x-should-retry"] = "false"
        return httpx2.Response(
            response.status_code,
            headers=headers,
            stream=_BoundedStream(
                cast("httpx2.SyncByteStream", response.stream),
                bounds,
                encoding,
                most=_MOST_ERROR_BYTES if response.status_code >= 400 else None,
            ),
            extensions=response.extensions,
        )


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
        if self._encoding == "identity":
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
