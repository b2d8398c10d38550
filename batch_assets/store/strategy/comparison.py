"""Original and optimized beside each other: a probe of one, or both compared in what only reads.

A comparison writes nothing, and its cost is bounded: the arguments are cut to `CompareLimits`, and
a call that takes longer than its `seconds` is cancelled on the server. LiveDash and the runs may
write between two calls: a query whose results differ is done again, and one of which even the
same implementation gives two answers counts as changed, not as different.
"""

import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields, is_dataclass
from enum import StrEnum
from itertools import islice
from typing import Any, Final, TypeVar

import psycopg
from sqlalchemy import Engine, event
from sqlalchemy.exc import DBAPIError

from batch_assets.domain.batches import BatchRow
from batch_assets.store.counting import count_statements
from batch_assets.store.lookups import Lookups
from batch_assets.store.optimized import OptimizedQueries
from batch_assets.store.original import OriginalQueries
from batch_assets.store.protocol import Queries
from batch_assets.store.strategy.records import HAVE_TWO, Implementation
from batch_assets.store.strategy.track import Measured

T = TypeVar("T")

TRIES: Final = 3
CANCEL_SECONDS: Final = 5.0
"""How long the server may take to hear of a cancellation."""


def make_optimized(engine: Engine) -> Queries:
    """The optimized implementation; a set of which the database refuses a row the original does."""
    return OptimizedQueries(engine, OriginalQueries(engine))


IMPLEMENTATIONS: Final[Mapping[Implementation, Callable[[Engine], Queries]]] = {
    Implementation.OPTIMIZED: make_optimized,
    Implementation.ORIGINAL: OriginalQueries,
}


def probe(
    engine: Engine,
    make: Callable[[Engine], Queries],
    act: Callable[[Queries], T],
    measured: Measured,
    seconds: float,
) -> T:
    """Run a query by one implementation, to measure it; what it answers.

    Raises:
        TimeIsUpError: the time was up between two statements. One that runs then is cancelled,
            which raises what the server says of it.
    """
    with bounded(engine, seconds) as limited, measured.step():
        return act(make(limited))


@dataclass(frozen=True, slots=True)
class CompareLimits:
    """What a comparison may cost."""

    seconds: float = 10.0
    """For each call."""
    companies: int = 1_000
    batches: int = 20
    """Of the newest, for the queries that are about batches' rows."""
    rows: int = 2_000


class Verdict(StrEnum):
    """What came of one query."""

    SAME = "same"
    DIFFERENT = "different"
    CHANGED = "changed meanwhile"
    """The data did not stay as they were for long enough, `TRIES` times."""
    TOO_SLOW = "took too long"


@dataclass(frozen=True, slots=True)
class Compared:
    """One query by both implementations, in the last try: each did it twice.

    The seconds are those of the quicker time, in which what both read was in the caches.
    """

    query: str
    verdict: Verdict
    is_shared: bool
    """Both have the same implementation: one statement was enough all along."""
    rows: int = 0
    different_rows: int = 0
    """Rows that only one of them has given."""
    original_statements: int = 0
    optimized_statements: int = 0
    original_seconds: float = 0.0
    optimized_seconds: float = 0.0

    @property
    def ratio(self) -> float | None:
        """The original's time as a multiple of the optimized one's, where these are two."""
        if self.is_shared or not self.optimized_seconds:
            return None
        return self.original_seconds / self.optimized_seconds


@dataclass(frozen=True, slots=True)
class _Answer:
    rows: list[str]
    statements: int
    seconds: float


Act = Callable[[Queries], Any]


def compare(engine: Engine, limits: CompareLimits) -> list[Compared]:
    """Every query that only reads, but `preview`, which takes the claim's lock.

    `engine` is one that refuses to write (`open_engine(…, read_only=True)`).

    Raises:
        SQLAlchemyError: what the queries raise, but for a call that takes too long.
    """
    count_statements(engine)
    rows = Lookups(engine).newest_rows(limits.batches, limits.rows)
    queries = IMPLEMENTATIONS[Implementation.OPTIMIZED](engine)
    companies = [one.id for one in queries.active_companies()]
    acts = _acts(companies[: limits.companies], rows, limits)
    return [_compare(engine, name, act, limits.seconds) for name, act in acts.items()]


def _acts(companies: list[str], rows: list[BatchRow], limits: CompareLimits) -> Mapping[str, Act]:
    batches = list(dict.fromkeys(batch_id for batch_id, _ in rows))
    return {
        "active_companies": lambda queries: queries.active_companies(),
        "model_prices": lambda queries: queries.model_prices(),
        "pending_by_company": lambda queries: queries.pending_by_company(companies),
        "conversations": lambda queries: islice(queries.conversations(batches), limits.rows),
        "batches_in_flight": lambda queries: queries.batches_in_flight(limits.rows),
        "open_rows": lambda queries: queries.open_rows(batches, limits.rows),
        "rows_of": lambda queries: queries.rows_of(rows),
        "leftovers": lambda queries: queries.leftovers(limits.rows),
        "statistics": lambda queries: queries.statistics(),
    }


def _compare(engine: Engine, name: str, act: Act, seconds: float) -> Compared:
    is_shared = name not in HAVE_TWO
    for _ in range(TRIES):
        try:
            first = _ask(engine, Implementation.OPTIMIZED, act, seconds)
            original = _ask(engine, Implementation.ORIGINAL, act, seconds)
            optimized = _ask(engine, Implementation.OPTIMIZED, act, seconds)
            again = _ask(engine, Implementation.ORIGINAL, act, seconds)
        except (TimeIsUpError, _TooSlowError):
            return Compared(name, Verdict.TOO_SLOW, is_shared)
        if original.rows == optimized.rows:
            verdict = Verdict.SAME
            break
        is_still = first.rows == optimized.rows and original.rows == again.rows
        verdict = Verdict.DIFFERENT if is_still else Verdict.CHANGED
    return Compared(
        query=name,
        verdict=verdict,
        is_shared=is_shared,
        rows=len(original.rows),
        different_rows=len(set(original.rows) ^ set(optimized.rows)),
        original_statements=original.statements,
        optimized_statements=optimized.statements,
        original_seconds=min(original.seconds, again.seconds),
        optimized_seconds=min(first.seconds, optimized.seconds),
    )


def _ask(engine: Engine, implementation: Implementation, act: Act, seconds: float) -> _Answer:
    def digests(queries: Queries) -> list[str]:
        return sorted(map(_digest, _rows(act(queries))))

    measured = Measured()
    try:
        rows = probe(engine, IMPLEMENTATIONS[implementation], digests, measured, seconds)
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) == "57014":
            raise _TooSlowError from None
        raise
    return _Answer(rows, measured.statements, measured.seconds)


class _TooSlowError(Exception):
    """A call was cancelled on the server."""


def _rows(answer: Any) -> Iterator[Any]:
    yield from answer.items() if isinstance(answer, Mapping) else answer


def _digest(row: Any) -> str:
    """A row as something that can be compared and holds nothing of a conversation."""
    return hashlib.sha256(repr(_plain(row)).encode()).hexdigest()


def _plain(value: Any) -> Any:
    """The value without what goes by the clock, and without the last digits of a sum."""
    if is_dataclass(value) and not isinstance(value, type):
        named = ((one.name, getattr(value, one.name)) for one in fields(value))
        return [(name, _plain(part)) for name, part in named if not name.endswith("_seconds")]
    if isinstance(value, tuple | list):
        return [_plain(part) for part in value]
    return round(value, 9) if isinstance(value, float) else value


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
