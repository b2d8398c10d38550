"""How one operation is run: chosen, measured, redone by the original, and now and then probed."""

from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from sqlalchemy import Engine

from batch_assets.domain.logs import open_log
from batch_assets.domain.records import Conversation
from batch_assets.store.lost_connections import is_nobodys, retry_lost
from batch_assets.store.protocol import Queries
from batch_assets.store.strategy.bounding import bounded
from batch_assets.store.strategy.choosing import PROBE_SECONDS, Chooser
from batch_assets.store.strategy.modes import Implementation
from batch_assets.store.strategy.sampling import SAMPLED_ROWS, Sample
from batch_assets.store.strategy.streaming import Place, Stream
from batch_assets.store.strategy.tracking import Key, Measured, Purpose, Tracker

Factories = Mapping[Implementation, Callable[[Engine], Queries]]
"""How each implementation is put on an engine."""

T = TypeVar("T")

_logger = open_log(__name__)


class Runner:
    """Runs operations on one engine.

    Only database work is ever inside an operation, and a failed one was rolled back: so nothing is
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
        operation: str,
        act: Callable[[Queries], T],
        rows: Callable[[T], int],
        sample: Callable[[], Sample] | None = None,
    ) -> T:
        """Do an operation; `rows` says of its answer how many it moved.

        With a `sample` it may be probed. Raises what the last implementation that was tried raises.
        """
        chosen = self._chooser.choose(operation).implementation
        try:
            answer, measured = self._measured(operation, chosen, act, rows)
        except Exception as error:
            if not self._may_redo(chosen, error):
                raise
            self._note_fallback(operation, error)
            answer, _ = self._measured(operation, Implementation.ORIGINAL, act, rows)
        else:
            # What has moved no row says nothing of either, and an idle run is to stay a cheap one.
            if sample and measured.rows and self._chooser.take_probe(operation):
                self._probe(operation, chosen, measured, act, sample())
        return answer

    def stream(self, operation: str, place: Place) -> Iterator[Conversation]:
        """Read conversations to the end; where one implementation fails, the other goes on."""
        chosen = self._chooser.choose(operation).implementation
        try:
            yield from self._streamed(operation, chosen, place)
        except Exception as error:
            if not self._may_redo(chosen, error):
                raise
            self._note_fallback(operation, error)
            yield from self._streamed(operation, Implementation.ORIGINAL, place)

    def _measured(
        self,
        operation: str,
        implementation: Implementation,
        act: Callable[[Queries], T],
        rows: Callable[[T], int],
    ) -> tuple[T, Measured]:
        key = Key(operation, implementation, Purpose.WORK)
        with self._tracker.call(key) as measured, measured.step():
            answer = retry_lost(act)(self._queries[implementation])
            measured.rows = rows(answer)
        return answer, measured

    def _streamed(
        self, operation: str, implementation: Implementation, place: Place
    ) -> Iterator[Conversation]:
        key = Key(operation, implementation, Purpose.WORK)
        stream = Stream(self._queries[implementation].conversations, place)
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

    def _note_fallback(self, operation: str, error: Exception) -> None:
        self._tracker.fell_back(operation)
        _logger.warning(
            "The optimized %s failed (%s): the original does it again.", operation, _kind(error)
        )

    def _probe(
        self,
        operation: str,
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
            with (
                bounded(self._engine, PROBE_SECONDS) as engine,
                self._tracker.call(Key(operation, other, Purpose.PROBE)) as probed,
                probed.step(),
            ):
                act(self._factories[other](engine))
                probed.rows = items
        except Exception as error:
            _logger.info("The probe of %s was given up (%s).", operation, _kind(error))
        else:
            self._tracker.compare(Key(operation, chosen, Purpose.PROBE), measured, sample.of)


def _next(stream: Stream, measured: Measured) -> Conversation | None:
    with measured.step():
        return stream.next()


def _kind(error: Exception) -> str:
    """What a failure was, by names and codes alone: its message may quote a row."""
    cause = getattr(error, "orig", None) or error
    code = getattr(cause, "sqlstate", None)
    return f"{type(cause).__name__}, SQLSTATE {code}" if code else type(cause).__name__
