"""Work on a database that ends when its time is up, whatever it is doing."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import psycopg
from sqlalchemy import Engine, event

CANCEL_SECONDS: Final = 5.0
"""How long the server may take to hear of a cancellation."""


class TimeIsUpError(Exception):
    """The time was up between two statements."""


@contextmanager
def bounded(engine: Engine, seconds: float) -> Iterator[Engine]:
    """The same engine, for so many seconds: then the statement that runs is cancelled.

    What comes after it raises `TimeIsUpError`. No statement is spent on it, and no setting stays
    with a session that a pooler may hand to someone else.
    """
    limited = engine.execution_options()
    deadline = _Deadline()
    event.listen(limited, "before_cursor_execute", deadline.before)
    for ends in ("after_cursor_execute", "commit", "rollback"):
        event.listen(limited, ends, deadline.after)
    timer = threading.Timer(seconds, deadline.pass_)
    timer.daemon = True
    timer.start()
    try:
        yield limited
    finally:
        timer.cancel()
        deadline.forget()


class _Deadline:
    """What runs at this moment, and whether it still may.

    The lock is held while a cancellation is on its way, so that it never meets a later statement.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_over = False
        self._running: psycopg.Connection[Any] | None = None

    def before(self, _connection: Any, cursor: psycopg.Cursor[Any], *_statement: Any) -> None:
        with self._lock:
            if self._is_over:
                raise TimeIsUpError
            self._running = cursor.connection

    def after(self, *_executed: Any) -> None:
        self.forget()

    def forget(self) -> None:
        with self._lock:
            self._running = None

    def pass_(self) -> None:
        with self._lock:
            self._is_over = True
            if self._running is not None:
                with suppress(psycopg.Error):
                    self._running.cancel_safe(timeout=CANCEL_SECONDS)
