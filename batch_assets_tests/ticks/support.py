"""A job's history and a moment for ticks, without Dagster's storage."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import dagster as dg
from sqlalchemy import Engine

from batch_assets.settings import Settings, load_settings
from batch_assets.store.counting import Tally, count_statements, counted_into
from batch_assets.ticks.starting import ActiveRun, DecidedRun, TickContext
from batch_assets.ticks.tick_database import TickDatabase

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ACTIVE_RUN = ActiveRun("r1", "queued", NOON)

_Read = TypeVar("_Read")

Answer = dg.SensorResult | dg.SkipReason | dg.RunRequest


@dataclass
class History:
    """`Runs` that a test has written down."""

    current: ActiveRun | None = None
    ended: list[DecidedRun] = field(default_factory=list)
    """The last one first."""

    def active(self) -> ActiveRun | None:
        return self.current

    def decided(self, limit: int) -> Sequence[DecidedRun]:
        return self.ended[:limit]

    def end(self, *, failed: bool, at: datetime) -> None:
        self.ended.insert(0, DecidedRun(f"run-{len(self.ended) + 1}", failed, at))


class CountingDatabase(TickDatabase):
    """Reads on an engine that is kept, counts statements, and remembers until told to forget."""

    def __init__(self, settings: Settings, engine: Engine) -> None:
        super().__init__(settings)
        self.tally = Tally()
        self.real_reads = 0
        self._kept = engine
        self._remembered: dict[object, tuple[Any, int]] = {}
        count_statements(engine)

    def read(self, query: Callable[[Engine], _Read]) -> _Read:
        which = query.__code__
        if which not in self._remembered:
            self.real_reads += 1
            seen_before = self.tally.statements
            with counted_into(self.tally):
                seen = query(self._kept)
            self._remembered[which] = (seen, self.tally.statements - seen_before)
            return seen
        seen, statements = self._remembered[which]
        self.tally.statements += statements
        return seen

    def forget(self) -> None:
        """Let the next reads be real ones."""
        self._remembered.clear()


def failed_runs(times: int, last_at: datetime = NOON) -> History:
    """As many failures in a row, two minutes apart."""
    history = History()
    for number in reversed(range(times)):
        history.end(failed=True, at=last_at - timedelta(minutes=2 * number))
    return history


def tick_at(
    now: datetime = NOON, runs: History | None = None, database: TickDatabase | None = None
) -> TickContext:
    """What a tick sees at a moment; the database is where the environment says."""
    settings = load_settings()
    return TickContext(settings, runs or History(), database or TickDatabase(settings), now)


def skipped(answer: Answer) -> str:
    """Why a tick started nothing."""
    if isinstance(answer, dg.SkipReason):
        return str(answer.skip_message)
    assert isinstance(answer, dg.SensorResult)
    assert not answer.run_requests
    assert answer.skip_reason is not None
    return str(answer.skip_reason.skip_message)


def started(answer: Answer) -> dg.RunRequest:
    """The one run that a tick starts."""
    if isinstance(answer, dg.RunRequest):
        return answer
    assert isinstance(answer, dg.SensorResult), answer
    (request,) = answer.run_requests or []
    return request


def cursor_of(answer: Answer) -> str | None:
    """What a tick leaves to the next one."""
    assert isinstance(answer, dg.SensorResult)
    return answer.cursor
