"""How one query is run: by the chosen implementation, with the original to fall back on.

It is measured, and now and then the other implementation is probed.
"""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from sqlalchemy import Engine

from batch_assets.domain.logs import open_log
from batch_assets.domain.records import Conversation
from batch_assets.store.connection_failures import is_nobodys, retry_lost
from batch_assets.store.protocol import Queries
from batch_assets.store.strategy.choose import PROBE_SECONDS, Chooser
from batch_assets.store.strategy.comparison import probe
from batch_assets.store.strategy.records import Implementation, Key, Purpose
from batch_assets.store.strategy.track import Measured, Tracker

Factories = Mapping[Implementation, Callable[[Engine], Queries]]
"""How each implementation is put on an engine."""

SAMPLED_ROWS: Final = 10_000
"""So many rows of a batch at most are asked for, and as many at most are read a second time."""

T = TypeVar("T")

_logger = open_log(__name__)


class StreamPosition:
    """How far a stream has come, so that another one goes on without repeating anything.

    Remembers the requests of one batch, the one that was begun last: batches come in the order in
    which they were asked for.
    """

    def __init__(self, batch_ids: Sequence[str]) -> None:
        self.remaining = tuple(batch_ids)
        """The batches that are not known to be finished, the one that was begun among them."""
        self._given: set[str] = set()

    def passes(self, conversation: Conversation) -> bool:
        """Whether this one was not given yet; from now on it was."""
        if conversation.batch_id != self.remaining[0]:
            self.remaining = self.remaining[self.remaining.index(conversation.batch_id) :]
            self._given.clear()
        if conversation.request_id in self._given:
            return False
        self._given.add(conversation.request_id)
        return True


@dataclass(frozen=True, slots=True)
class Sample:
    """Some of the items that a query was asked for: companies, batches or their rows."""

    act: Callable[[Queries], Any]
    """Does the query for these alone."""
    items: int
    of: int
    """How many the query was asked for."""


class Stream:
    """One implementation's conversations, from a position on."""

    def __init__(
        self, ask: Callable[[Sequence[str]], Iterator[Conversation]], position: StreamPosition
    ) -> None:
        self._ask = ask
        self._position = position
        self._source: Iterator[Conversation] | None = None

    @retry_lost
    def next(self) -> Conversation | None:
        """The next one, `None` at the end; a lost connection is replaced on the way."""
        if self._source is None:
            self._source = self._ask(self._position.remaining)
        try:
            return next(filter(self._position.passes, self._source), None)
        except Exception:
            self._source = None
            raise

    def close(self) -> None:
        """End the transaction that may be open."""
        if isinstance(self._source, Generator):
            self._source.close()


class Runner:
    """Runs queries on one engine.

    Only database work is ever inside a query, and a failed one was rolled back: so nothing is
    bought twice when the original does it again.
    """

    def __init__(
        self,
        engine: Engine,
        chooser: Chooser,
        tracker: Tracker,
        *,
        factories: Factories,
        falls_back: bool,
    ) -> None:
        self._engine = engine
        self._chooser = chooser
        self._tracker = tracker
        self._falls_back = falls_back
        self._factories = factories
        self._queries = {name: make(engine) for name, make in factories.items()}

    def run(
        self,
        query: str,
        act: Callable[[Queries], T],
        rows: Callable[[T], int],
        sample: Callable[[], Sample] | None = None,
    ) -> T:
        """Run a query; `rows` says of its answer how many it moved.

        With a `sample` it may be probed.

        Raises:
            Exception: what the last implementation that was tried raises.
        """
        chosen = self._chooser.choose(query).implementation
        try:
            answer, measured = self._measured(query, chosen, act, rows)
        except Exception as error:
            if not self._may_redo(chosen, error):
                raise
            self._note_fallback(query, error)
            answer, _ = self._measured(query, Implementation.ORIGINAL, act, rows)
        else:
            # What has moved no row says nothing of either, and an idle run is to stay a cheap one.
            if sample and measured.rows and self._chooser.take_probe(query):
                self._probe(query, chosen, measured, act, sample())
        return answer

    def stream(self, query: str, position: StreamPosition) -> Iterator[Conversation]:
        """Read conversations to the end; where one implementation fails, the other goes on."""
        chosen = self._chooser.choose(query).implementation
        try:
            yield from self._streamed(query, chosen, position)
        except Exception as error:
            if not self._may_redo(chosen, error):
                raise
            self._note_fallback(query, error)
            yield from self._streamed(query, Implementation.ORIGINAL, position)

    def _measured(
        self,
        query: str,
        implementation: Implementation,
        act: Callable[[Queries], T],
        rows: Callable[[T], int],
    ) -> tuple[T, Measured]:
        key = Key(query, implementation, Purpose.WORK)
        with self._tracker.call(key) as measured, measured.step():
            answer = retry_lost(act)(self._queries[implementation])
            measured.rows = rows(answer)
        return answer, measured

    def _streamed(
        self, query: str, implementation: Implementation, position: StreamPosition
    ) -> Iterator[Conversation]:
        key = Key(query, implementation, Purpose.WORK)
        stream = Stream(self._queries[implementation].conversations, position)
        with self._tracker.call(key) as measured:
            try:
                while (conversation := _next(stream, measured)) is not None:
                    measured.rows += 1
                    yield conversation
            finally:
                with measured.step():
                    stream.close()

    def _may_redo(self, failed: Implementation, error: Exception) -> bool:
        """Whether the original is to try: without a connection, or on tables that have changed, it
        would fail just the same."""
        return self._falls_back and failed is Implementation.OPTIMIZED and not is_nobodys(error)

    def _note_fallback(self, query: str, error: Exception) -> None:
        self._tracker.fell_back(query)
        _logger.warning(
            "The optimized %s failed (%s): the original does it again.", query, _kind(error)
        )

    def _probe(
        self,
        query: str,
        chosen: Implementation,
        measured: Measured,
        act: Callable[[Queries], object],
        sample: Sample,
    ) -> None:
        """Let the other implementation do it again, and keep both measurements side by side.

        The original does a sample of it. What it costs is the run's, but neither the answer nor a
        failure is.
        """
        other, items = chosen.other, sample.of
        if other is Implementation.ORIGINAL:
            act, items = sample.act, sample.items
        elif measured.rows > SAMPLED_ROWS:
            return
        try:
            with self._tracker.call(Key(query, other, Purpose.PROBE)) as probed:
                probe(self._engine, self._factories[other], act, probed, PROBE_SECONDS)
                probed.rows = items
        except Exception as error:
            _logger.info("The probe of %s was given up (%s).", query, _kind(error))
        else:
            self._tracker.compare(Key(query, chosen, Purpose.PROBE), measured, sample.of)


def _next(stream: Stream, measured: Measured) -> Conversation | None:
    with measured.step():
        return stream.next()


def _kind(error: Exception) -> str:
    """What a failure was, by names and codes alone: its message may quote a row."""
    cause = getattr(error, "orig", None) or error
    code = getattr(cause, "sqlstate", None)
    return f"{type(cause).__name__}, SQLSTATE {code}" if code else type(cause).__name__
