"""Puts the points into a run, from outside: the product has no hook for them."""

import re
import shutil
import sys
from collections.abc import Callable, Generator
from functools import cache
from pathlib import Path
from types import SimpleNamespace, TracebackType
from typing import Any, Final

import httpx2
from sqlalchemy import Connection, Engine, event

from batch_assets import store
from batch_assets.openai_batch import spool
from batch_assets.openai_batch.client import BatchApi
from batch_assets.openai_batch.spool import InputFile, Spool
from batch_assets.store.engine import QuietDialect
from drills.points import Points

_STORE: Final = str(Path(store.__file__).parent)
_AROUND: Final = (
    "strategy",
    "connection_failures.py",
    "counting.py",
    "engine.py",
    # Beats beside the stages, whenever it is time.
    "runs.py",
)
"""What only carries an operation, and is none of a stage; but for the measurements that are
written."""
_MEASUREMENTS: Final = "history.py"
_SPOOLS: Final = "batch-files-"
_WRITES: Final = re.compile(r"\b(INSERT INTO|UPDATE|DELETE FROM)\s+\w", re.IGNORECASE)
CALLS: Final = (
    ("POST", r"/files", "upload"),
    ("POST", r"/batches", "create_batch"),
    ("POST", r"/batches/[^/]+/cancel", "cancel"),
    ("GET", r"/batches", "list_batches"),
    ("GET", r"/batches/[^/]+", "retrieve"),
    ("GET", r"/files", "list_files"),
    ("GET", r"/files/[^/]+", "retrieve_file"),
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
    _around_removals(points)


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
        if _is_of_an_operation(frame.f_code.co_filename):
            found = frame.f_code.co_name
        if frame.f_back is None:
            return found
        frame = frame.f_back


@cache
def _is_of_an_operation(file_name: str) -> bool:
    """Asked for each frame of each stack; there are some hundred files."""
    path = Path(file_name)
    if not path.is_relative_to(_STORE):
        return False
    return path.relative_to(_STORE).parts[0] not in _AROUND or path.name == _MEASUREMENTS


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
    commit: Callable[..., None] = QuietDialect.do_commit

    def do_commit(self: QuietDialect, connection: Any) -> None:
        operation = _operation()
        if operation is None:
            commit(self, connection)
            return
        points.reach(f"commit:{operation}:before")
        commit(self, connection)
        points.reach(f"commit:{operation}:after")

    put_in(QuietDialect, "do_commit", do_commit)


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
    for method, pattern, name in CALLS:
        if request.method == method and re.fullmatch(pattern, path):
            return name
    return None


def _around_input_files(points: Points) -> None:
    _surround(points, Spool, "__enter__", "spool_made")
    _surround(points, InputFile, "__enter__", "input_begun")
    _surround(points, InputFile, "__exit__", "input_written")


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


def _around_removals(points: Points) -> None:
    """Whatever is taken from a spool, and spools: by the run that made them, or by a later one."""
    unlink, rmtree = Path.unlink, shutil.rmtree

    def unlinked(self: Path, missing_ok: bool = False) -> None:
        if not self.parent.name.startswith(_SPOOLS) or not self.exists():
            unlink(self, missing_ok)
            return
        points.reach("file:removed:before")
        unlink(self, missing_ok)
        points.reach("file:removed:after")

    def removed(path: Path) -> None:
        name = "spool_removed" if sys._getframe(1).f_code.co_name == "__exit__" else "spool_swept"
        points.reach(f"file:{name}:before")
        rmtree(path)
        points.reach(f"file:{name}:after")

    put_in(Path, "unlink", unlinked)
    put_in(spool, "shutil", SimpleNamespace(rmtree=removed))


def put_in(owner: object, name: str, replacement: object) -> None:
    """Put something into a class or module in the place of its own."""
    setattr(owner, name, replacement)
