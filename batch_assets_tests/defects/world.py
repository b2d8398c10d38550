"""A situation with a system in it: ours, or the one that it replaces, on the same real things."""

import functools
import itertools
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from openai import OpenAI
from sqlalchemy import Engine, event

from batch_assets.domain.records import RemoteBatch
from batch_assets.domain.states import SERVER_ENDED
from batch_assets.store.optimized import OptimizedQueries
from batch_assets.store.strategy import choose_queries
from batch_assets_tests.defects.replaced.scheduler import ReplacedSystem
from batch_assets_tests.defects.systems import OurSystem, System
from batch_assets_tests.stages.support import Lab, wait_until
from batch_assets_tests.store.queries.support import Desk

TICKS = 6
"""Enough for what is lost to be looked up twice, sent again and read."""


class Killed(BaseException):
    """The process was killed at this statement."""


@dataclass
class World:
    """Both sides of a defect: `lab` sets scenes and looks at them, `system` acts in them."""

    lab: Lab
    is_ours: bool
    client: OpenAI
    """The SDK with its own settings, as the replaced system uses it."""
    kind: Callable[[Any, OpenAI], System] = ReplacedSystem
    """Which replaced system it is, where it is not ours."""
    began: datetime = field(default_factory=lambda: datetime.now(UTC) - timedelta(seconds=1))

    def __post_init__(self) -> None:
        api = self.lab.pipeline.api
        self._others = {one.id for one in api.list_batches(created_after=self.began)}
        self._others |= {one.id for one in api.list_files(created_after=self.began)}
        entries = self.lab.server.ledger().entries()
        self._last_bill = max((entry.id for entry in entries), default=0)
        self._numbers = itertools.count(1)
        self.system = self.new_process()

    def new_process(self) -> System:
        """A process of the system, with nothing in its memory."""
        if self.is_ours:
            # A pipeline keeps what its run has seen, which no other process knows.
            pipeline = replace(self.lab.pipeline, owner=f"host:{next(self._numbers)}")
            return OurSystem(replace(self.lab, pipeline=pipeline))
        return self.kind(self.lab.desk.engine, self.client)

    def instead(self, kind: Callable[[Any, OpenAI], System]) -> "World":
        """The same with another of the replaced system's variants, where it is not ours."""
        self.kind = kind
        self.system = self.new_process()
        return self

    def under(self, **changes: Any) -> "World":
        """The same with another policy of ours."""
        self.lab = self.lab.under(**changes)
        self.system = self.new_process()
        return self

    def on(self, engine: Engine) -> "World":
        """The same with another engine on the same database."""
        was = self.lab.pipeline.queries
        queries = choose_queries(engine, optimized=isinstance(was, OptimizedQueries))
        registry = replace(self.lab.pipeline.registry, engine=engine)
        pipeline = replace(self.lab.pipeline, queries=queries, registry=registry)
        self.lab = replace(self.lab, pipeline=pipeline, desk=Desk(engine, queries))
        self.system = self.new_process()
        return self

    def tick(self) -> None:
        """Every timer once; between the first two the server does its work."""
        self.system.create()
        self.let_the_server_work()
        self.system.check()
        self.system.process()
        self.system.retry()

    def carry_on(self, ticks: int = TICKS) -> None:
        """The trouble is over: let all timers tick until everything is done, or often enough."""
        self.lab.configure()
        for _ in range(ticks):
            self.tick()
            if set(self.statuses()) <= {"PROCESSING_COMPLETE"}:
                return

    def let_the_server_work(self) -> None:
        """Wait until every batch has ended."""
        wait_until(lambda: {one.status for one in self._remote_batches()} <= SERVER_ENDED)

    def both_at_once(self, act: Callable[[System], None]) -> None:
        """Two processes do the same at the same time."""
        barrier = threading.Barrier(2)

        def run(system: System) -> None:
            barrier.wait()
            act(system)

        with ThreadPoolExecutor(max_workers=2) as pool:
            list(pool.map(run, [self.new_process(), self.new_process()]))

    @contextmanager
    def killed_once_bought(self) -> Iterator[None]:
        """The process dies with the first statement after the server has another batch."""
        engine = self.lab.desk.engine
        before = len(self._remote_batches())

        def look(*_: object) -> None:
            if len(self._remote_batches()) > before:
                raise Killed

        event.listen(engine, "before_cursor_execute", look)
        try:
            with pytest.raises(Killed):
                yield
        finally:
            event.remove(engine, "before_cursor_execute", look)
        # An hour later: whatever the dead process held has run out.
        self.lab.desk.do("UPDATE batch_assets.batch SET lease_expires_at = now() - interval '1 h'")
        self.system = self.new_process()

    @contextmanager
    def refusing(self, table: str, condition: str) -> Iterator[None]:
        """While it lasts, the database refuses new rows and changes that do not meet this."""
        name = f'public."{table}"'
        self.lab.desk.do(f"ALTER TABLE {name} ADD CONSTRAINT refused CHECK ({condition}) NOT VALID")
        try:
            yield
        finally:
            self.lab.desk.do(f"ALTER TABLE {name} DROP CONSTRAINT refused")

    def suspend(self, company_id: str) -> None:
        self.lab.desk.do(
            """UPDATE public."Company" SET status = 'SUSPENDED' WHERE id = :id""", id=company_id
        )

    def statuses(self, request_ids: Sequence[str] | None = None) -> Counter[str]:
        """How many requests have each status; of all requests, or of these."""
        return Counter(
            self.lab.desk.column(
                'SELECT "processingStatus"::text FROM public."AIProcessingRequest"'
                " WHERE CAST(:ids AS text[]) IS NULL OR id = ANY(:ids)",
                ids=None if request_ids is None else list(request_ids),
            )
        )

    def failed(self) -> int:
        """How many have failed: given up, or in no batch until their next try."""
        return int(
            self.lab.desk.value(
                'SELECT count(*) FROM public."AIProcessingRequest"'
                " WHERE \"processingStatus\" = 'PROCESSING_FAILED'"
                ' OR ("processingStatus" = \'BATCHING_IN_PROGRESS\' AND "batchId" IS NULL)'
            )
        )

    def batch_statuses(self) -> list[str]:
        """What LiveDash's rows say of the batches, oldest first."""
        return self.lab.desk.column(
            'SELECT status::text FROM public."AIBatchRequest" ORDER BY "createdAt"'
        )

    def submitted_lines(self) -> list[Any]:
        """The lines of the input files of all batches."""
        files = [one.input_file_id for one in self._remote_batches()]
        return [
            json.loads(line)
            for file_id in files
            if file_id is not None
            for line in self.lab.pipeline.api.download(file_id)
        ]

    def times_paid(self, request_ids: Sequence[str]) -> int:
        """How often these requests were paid for, in a batch or at once; those calls are theirs."""
        entries = list(self.lab.server.ledger().entries(since_id=self._last_bill))
        wanted = set(request_ids)
        return sum(entry.kind == "live" or entry.custom_id in wanted for entry in entries)

    def uploads_of_no_batch(self) -> int:
        """Input files on the server that no batch was made of."""
        used = {one.input_file_id for one in self._remote_batches()} | self._others
        files = self.lab.pipeline.api.list_files(created_after=self.began)
        return sum(file.id not in used for file in files)

    def _remote_batches(self) -> list[RemoteBatch]:
        found = self.lab.pipeline.api.list_batches(created_after=self.began)
        return [one for one in found if one.id not in self._others]


def defect(number: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A check that has to hold for ours, and to fail for the replaced system with its sentence.

    The sentence begins with the defect's number, so that nothing else that goes wrong on the
    replaced side, in the preparations perhaps, is taken for the defect.
    """

    def decorate(check: Callable[..., None]) -> Callable[..., None]:
        assert f"test_defect_{number:02}_" in check.__name__

        @functools.wraps(check)
        def test(world: World, **more: Any) -> None:
            if world.is_ours:
                check(world, **more)
            else:
                with pytest.raises(AssertionError, match=rf"\Adefect {number}: "):
                    check(world, **more)

        return test

    return decorate
