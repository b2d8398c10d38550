"""Puts the points into a run, from outside: the product has no hook for them."""

import re
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import httpx2
from sqlalchemy import Connection, Engine, event

from batch_assets import store
from batch_assets.openai_batch.client import BatchApi
from batch_assets.openai_batch.spool import InputFile, Spool
from batch_assets.store.dialect import UnaskedDialect
from drills.points import Points

_STORE: Final = str(Path(store.__file__).parent)
_AROUND: Final = ("strategy", "lost_connections.py", "counting.py", "engine.py")
"""What only carries an operation, and is none."""
_WRITES: Final = re.compile(r"\b(INSERT INTO|UPDATE|DELETE FROM)\s+\w", re.IGNORECASE)
_CALLS: Final = (
    ("POST", r"/files", "upload"),
    ("POST", r"/batches", "create_batch"),
    ("POST", r"/batches/[^/]+/cancel", "cancel"),
    ("GET", r"/batches", "list_batches"),
    ("GET", r"/batches/[^/]+", "retrieve"),
    ("GET", r"/files", "list_files"),
    ("GET", r"/files/[^/]+/content", "download"),
    ("DELETE", r"/files/[^/]+", "delete_file"),
    ("POST", r"/chat/completions", "chat_completion"),
)


def install(points: Points) -> None:
    """Let this process reach `points` around each of its effects, until its end."""
    _around_statements(points)
    _around_commits(points)
    _around_calls(points)
    _around_input_files(points)
    _around_downloads(points)


def spare_certificates() -> None:
    """Let clients of this process load no certificates: the server is on loopback, in the clear."""
    make = httpx2.HTTPTransport.__init__

    def made(self: httpx2.HTTPTransport, *arguments: Any, **named: Any) -> None:
        make(self, *arguments, **{**named, "verify": False})

    put_in(httpx2.HTTPTransport, "__init__", made)


def _operation() -> str | None:
    """The operation of the store that is under way in this thread: its outermost function."""
    found = None
    frame = sys._getframe(2)
    while True:
        code = frame.f_code
        if code.co_filename.startswith(_STORE):
            place = Path(code.co_filename).relative_to(_STORE).parts
            if place[0] not in _AROUND:
                found = code.co_name
        if frame.f_back is None:
            return found
        frame = frame.f_back


def _around_statements(points: Points) -> None:
    """A statement that writes, and commits by itself."""

    def is_effect(connection: Connection, statement: str) -> bool:
        driver_connection: Any = connection.connection.driver_connection
        return driver_connection.autocommit is True and bool(_WRITES.search(statement))

    def before(connection: Connection, _cursor: Any, statement: str, *_rest: Any) -> None:
        operation = _operation()
        if operation is not None and is_effect(connection, statement):
            points.reach(f"commit:{operation}:before")

    def after(connection: Connection, _cursor: Any, statement: str, *_rest: Any) -> None:
        operation = _operation()
        if operation is not None and is_effect(connection, statement):
            points.reach(f"commit:{operation}:after")

    event.listen(Engine, "before_cursor_execute", before)
    event.listen(Engine, "after_cursor_execute", after)


def _around_commits(points: Points) -> None:
    commit: Callable[..., None] = UnaskedDialect.do_commit

    def do_commit(self: UnaskedDialect, connection: Any) -> None:
        operation = _operation()
        if operation is None:
            commit(self, connection)
            return
        points.reach(f"commit:{operation}:before")
        commit(self, connection)
        points.reach(f"commit:{operation}:after")

    put_in(UnaskedDialect, "do_commit", do_commit)


def _around_calls(points: Points) -> None:
    send = httpx2.HTTPTransport.handle_request

    def handle_request(self: httpx2.HTTPTransport, request: httpx2.Request) -> httpx2.Response:
        call = _call(request)
        if call is None:
            return send(self, request)
        points.reach(f"call:{call}:before")
        response = send(self, request)
        # The server has acted and begun to answer; nothing of the body is read yet.
        points.reach(f"call:{call}:acted")
        return response

    put_in(httpx2.HTTPTransport, "handle_request", handle_request)


def _call(request: httpx2.Request) -> str | None:
    path = request.url.path.removeprefix("/v1")
    for method, pattern, name in _CALLS:
        if request.method == method and re.fullmatch(pattern, path):
            return name
    return None


def _around_input_files(points: Points) -> None:
    _surround(points, Spool, "__enter__", "spool_made")
    _surround(points, Spool, "__exit__", "spool_removed")
    _surround(points, InputFile, "__enter__", "input_begun")
    _surround(points, InputFile, "__exit__", "input_written")
    _surround(points, InputFile, "remove", "input_removed")


def _surround(points: Points, owner: type, method: str, name: str) -> None:
    act: Callable[..., Any] = getattr(owner, method)

    def surrounded(
        self: object,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> Any:
        arguments = (kind, error, trace) if method == "__exit__" else ()
        points.reach(f"file:{name}:before")
        result = act(self, *arguments)
        points.reach(f"file:{name}:after")
        return result

    put_in(owner, method, surrounded)


def _around_downloads(points: Points) -> None:
    download = BatchApi.download

    def watched(self: BatchApi, file_id: str) -> Generator[bytes, None, None]:
        points.reach("file:download:before")
        for number, line in enumerate(download(self, file_id)):
            yield line
            if number == 0:
                points.reach("file:download:begun")
        points.reach("file:download:after")

    put_in(BatchApi, "download", watched)


def put_in(owner: object, name: str, replacement: Callable[..., Any]) -> None:
    """Put a function into a class or module in the place of its own."""
    setattr(owner, name, replacement)
