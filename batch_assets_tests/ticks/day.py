"""A day of ticks, as fast as it can be played: 24 hours in steps of 15 seconds.

Real are the ticks of the schedule and of all three sensors, with the cursors that they leave, and
the database that they look at, statement by statement. Simulated are the clock, which is handed to
the ticks; Dagster's history, queue and memory of run keys; the server's list of batches; and the
runs: they take their time, then do to the database in a few statements what sensors can see of a
real run, or fail before they do anything. All that ticks at one moment sees the same: what another
one asks for at that moment is not there yet, as bad as it can be.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
from sqlalchemy import Engine

from batch_assets import schedules
from batch_assets.domain.records import Backlog, RemoteBatch
from batch_assets.sensors import backlog, completion, failure
from batch_assets.settings import Settings
from batch_assets.store.sql import load
from batch_assets.ticks.starting import ActiveRun, DecidedRun, TickContext
from batch_assets.wiring import Endpoints
from batch_assets_tests.ticks.support import Answer, CountingDatabase, History

STEP = timedelta(seconds=15)
QUEUE = timedelta(seconds=3)
"""How long a run is in the queue before it begins, if none is under way."""
SAME = timedelta(minutes=10)

SQL = load(Path(__file__).with_suffix(".sql"))


@dataclass
class Run:
    """One run, asked for by a schedule or a sensor."""

    id: str
    starter: str
    asked_at: datetime
    begins_at: datetime | None = None
    ends_at: datetime | None = None
    has_failed: bool = False


@dataclass
class Plan:
    """What happens in a day: everything is decided before it begins."""

    arrivals: Sequence[tuple[datetime, str]] = ()
    """When a request of which company comes; in order."""
    capped: frozenset[str] = frozenset()
    """Companies whose requests runs see and leave."""
    run_seconds: Callable[[], float] = lambda: 30.0
    fails: Callable[[datetime], bool] = lambda at: False
    batch_seconds: Callable[[], float] = lambda: 600.0


@dataclass
class Day:
    """Plays a plan and writes down what happened. Each company has one session, of its own id."""

    engine: Engine
    settings: Settings
    plan: Plan
    now: datetime
    statements: dict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    """By starter: how many ticks took how many statements."""
    runs: list[Run] = field(default_factory=list)
    waited: dict[str, list[timedelta]] = field(default_factory=lambda: defaultdict(list))
    """How long companies were due, and batches ended, while a run could have been started."""

    def __post_init__(self) -> None:
        self.database = CountingDatabase(self.settings, self.engine)
        self.history = History()
        self.cursors: dict[str, str | None] = {}
        self.keys: set[tuple[str, str]] = set()
        self.queue: list[Run] = []
        self.running: Run | None = None
        self.server: list[RemoteBatch] = []
        self.ends_at: dict[str, datetime] = {}
        self.waiting: dict[str, list[datetime]] = defaultdict(list)
        self.idle_since: dict[str, timedelta] = defaultdict(timedelta)
        self.upcoming = list(reversed(self.plan.arrivals))

    def play(self, hours: float) -> None:
        """Let the time pass."""
        began = self.now
        while self.now < began + timedelta(hours=hours):
            self._arrive()
            self._work()
            is_quiet = not self.waiting and not self.server
            if not is_quiet or (self.now - began) % SAME == timedelta():
                self.database.forget()
            self._tick(self.now - began)
            self._wait()
            self.now += STEP

    def _arrive(self) -> None:
        rows: list[dict[str, Any]] = []
        while self.upcoming and self.upcoming[-1][0] <= self.now:
            at, company_id = self.upcoming.pop()
            self.waiting[company_id].append(at)
            rows.append({"id": f"{company_id} {at}", "company_id": company_id, "at": at})
        if rows:
            with self.engine.begin() as connection:
                connection.execute(SQL["arrive"], rows)

    def _work(self) -> None:
        """Dagster's queue and the runs: one at a time, as `dagster.yaml` has it."""
        run = self.running
        if run is not None and run.ends_at is not None and run.ends_at <= self.now:
            self.history.ended.insert(0, DecidedRun(run.id, run.has_failed, run.ends_at))
            self.running = None
        if self.running is None and self.queue and self.queue[0].asked_at + QUEUE <= self.now:
            run = self.running = self.queue.pop(0)
            run.begins_at = self.now
            run.ends_at = self.now + timedelta(seconds=self.plan.run_seconds())
            run.has_failed = self.plan.fails(self.now)
            if not run.has_failed:
                self._act()
        active = self.running or (self.queue[0] if self.queue else None)
        self.history.current = None if active is None else ActiveRun(active.id, "x", self.now)

    def _act(self) -> None:
        """What a run does that sensors can see."""
        ended = [one.id for one in self.server if one.status == "completed"]
        with self.engine.begin() as connection:
            if ended:
                connection.execute(SQL["finalize"], {"ids": ended, "at": self.now})
                for batch_id in ended:
                    self.waited["batch"].append(self.idle_since.pop(batch_id, timedelta()))
                self.server = [one for one in self.server if one.id not in ended]
            connection.execute(SQL["notice"], {"at": self.now})
            for company_id in [one for one in self.waiting if self.is_due(one)]:
                if company_id in self.plan.capped:
                    continue
                self.waited["company"].append(self.idle_since.pop(company_id, timedelta()))
                self._claim(connection, company_id)

    def _claim(self, connection: Any, company_id: str) -> None:
        batch_id = f"batch_{len(self.ends_at)}"
        connection.execute(SQL["claim"], {"company_id": company_id, "id": batch_id, "at": self.now})
        del self.waiting[company_id]
        self.ends_at[batch_id] = self.now + timedelta(seconds=self.plan.batch_seconds())
        self.server.insert(0, RemoteBatch(batch_id, "in_progress", "file-in", created_at=self.now))

    def is_due(self, company_id: str) -> bool:
        """Whether a run would send what waits for a company, were there no cap."""
        dates = self.waiting[company_id]
        waits = (self.now - dates[0]).total_seconds() if dates else 0.0
        return self.settings.policy().due_rule.is_due(Backlog(company_id, len(dates), waits))

    def _page(self, _endpoints: Endpoints, after: str | None) -> completion.BatchPage:
        assert after is None, "all that is in flight fits a page"
        self.server = [
            RemoteBatch(
                one.id,
                "completed" if self.ends_at[one.id] <= self.now else "in_progress",
                "file-in",
                output_file_id="file-out",
                created_at=one.created_at,
            )
            for one in self.server
        ]
        return completion.BatchPage(self.server, is_last=True)

    def _tick(self, since: timedelta) -> None:
        """Evaluate what is due at this moment; then, and not before, hand its runs to the queue."""
        tick = TickContext(self.settings, self.history, self.database, self.now)
        starters: dict[str, tuple[float, Callable[[str | None], Answer]]] = {
            "failure_sensor": (failure.SECONDS, lambda cursor: failure.evaluate(tick, cursor)),
            "backlog_sensor": (
                self.settings.backlog_check_seconds,
                lambda cursor: backlog.evaluate(tick, cursor),
            ),
            "completion_sensor": (
                self.settings.completion_check_seconds,
                lambda cursor: completion.evaluate(tick, cursor, self._page),
            ),
            "batch_processing_schedule": (120, lambda cursor: schedules.evaluate_processing(tick)),
        }
        requests: list[tuple[str, dg.RunRequest]] = []
        for name, (seconds, evaluate) in starters.items():
            if since.total_seconds() % seconds:
                continue
            before = self.database.tally.statements
            answer = evaluate(self.cursors.get(name))
            self.statements[name][self.database.tally.statements - before] += 1
            requests += [(name, request) for request in self._requests(name, answer)]
        for name, request in requests:
            self._ask(name, request)

    def _requests(self, name: str, answer: Answer) -> Sequence[dg.RunRequest]:
        if isinstance(answer, dg.SkipReason):
            return []
        if isinstance(answer, dg.RunRequest):
            return [answer]
        self.cursors[name] = answer.cursor
        assert len(answer.cursor or "") < 300
        return answer.run_requests or []

    def _ask(self, name: str, request: dg.RunRequest) -> None:
        """Queue a run, unless this sensor has asked for one by that key before."""
        if request.run_key is not None:
            if (name, request.run_key) in self.keys:
                return
            self.keys.add((name, request.run_key))
        run = Run(f"run-{len(self.runs)}", name, self.now)
        self.runs.append(run)
        self.queue.append(run)

    def _wait(self) -> None:
        """Count how long what could be worked on is not, although nothing is in the way."""
        if self.running or self.queue or self._rests():
            return
        for company_id in self.waiting:
            if company_id not in self.plan.capped and self.is_due(company_id):
                self.idle_since[company_id] += STEP
        for batch_id, ends_at in self.ends_at.items():
            if ends_at <= self.now and any(one.id == batch_id for one in self.server):
                self.idle_since[batch_id] += STEP

    def _rests(self) -> bool:
        rule = self.settings.cooldown_rule()
        failed = [run for run in self.history.ended[: rule.counted_runs] if run.has_failed]
        return len(failed) >= rule.failed_runs
