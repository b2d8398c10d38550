"""What is seen of either system from outside: its uploads, its reads."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from sqlalchemy import Engine, event


@dataclass
class Uploads:
    """How many uploads were under way at one time, at most."""

    now: int = 0
    most: int = 0


@contextmanager
def counted_uploads() -> Iterator[Uploads]:
    """Count whoever uploads by HTTP in this process."""
    seen = Uploads()
    lock = threading.Lock()
    send = httpx2.HTTPTransport.handle_request

    def counting(self: httpx2.HTTPTransport, request: httpx2.Request) -> httpx2.Response:
        if (request.method, request.url.path) != ("POST", "/v1/files"):
            return send(self, request)
        with lock:
            seen.now += 1
            seen.most = max(seen.most, seen.now)
        try:
            return send(self, request)
        finally:
            with lock:
                seen.now -= 1

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(httpx2.HTTPTransport, "handle_request", counting)
        yield seen


@dataclass
class Reads:
    """How many rows one statement brought into memory, at most."""

    most: int = 0


@contextmanager
def most_rows_read(engine: Engine) -> Iterator[Reads]:
    """Look at every statement's answer; one that is streamed brings its rows one by one."""
    seen = Reads()

    def look(_connection: object, cursor: Any, *_rest: object) -> None:
        if cursor.description is not None:
            seen.most = max(seen.most, cursor.rowcount)

    event.listen(engine, "after_cursor_execute", look)
    try:
        yield seen
    finally:
        event.remove(engine, "after_cursor_execute", look)
