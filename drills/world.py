"""The database of a schedule: emptied, filled, and asked in the end."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, TextClause, create_engine

from batch_assets.store.sql import load
from batch_assets.store.urls import application_url
from drills.story import Request, Story

SQL = load(Path(__file__).with_suffix(".sql"))


@dataclass(frozen=True)
class Open:
    """What is not finished."""

    left_over: int
    idle_seconds: float
    """In so many seconds a run finds something to do; until then none does."""


@dataclass(frozen=True)
class World:
    """One database, for one schedule after the other.

    Its connection stays open, and is its process's own: one that was forked makes another.
    """

    url: str
    _engines: dict[int, Engine] = field(default_factory=dict, init=False, compare=False)
    """By process."""

    def play(self, story: Story) -> None:
        """Empty it, and let a story begin in it."""
        companies = [request.company_id for request in story.requests]
        self.begin(() if story.livedash else story.requests, companies)
        if story.livedash:
            self.add(story.asked, processing_type="session_analysis")
            self._add_sessions(story.unasked)
            self.do("stages", ids=[one.id for one in story.asked], status="IN_PROGRESS")
            self.do("stages", ids=[one.id for one in story.unasked], status="PENDING")

    def begin(self, requests: Sequence[Request], companies: Sequence[str] = ()) -> None:
        """Empty it, and let these requests wait in it, of their companies and of more."""
        self.end_connections()
        company_ids = sorted({*companies, *(request.company_id for request in requests)})
        with self.connected() as connection:
            connection.execute(SQL["empty"])
            connection.execute(SQL["make_home"])
            connection.execute(SQL["companies"], {"company_ids": company_ids})
        self.add(requests)

    def add(
        self, requests: Sequence[Request], *, processing_type: str = "sentiment_analysis"
    ) -> None:
        """Let more requests wait, of companies that are there."""
        self._add_sessions(requests)
        ids = [request.id for request in requests]
        models = [request.model for request in requests]
        self.do("requests", ids=ids, models=models, processing_type=processing_type)

    def _add_sessions(self, requests: Sequence[Request]) -> None:
        """Sessions for these, each with the id that its request has or will have."""
        ids = [request.id for request in requests]
        of_companies = [request.company_id for request in requests]
        self.do("sessions", ids=ids, of_companies=of_companies)
        self.do("messages", ids=ids)

    def do(self, name: str, **parameters: Any) -> None:
        """Execute a named statement."""
        with self.connected() as connection:
            connection.execute(SQL[name], parameters)

    def end_connections(self) -> None:
        """Cut the application's connections, as a server that fails over does."""
        with self.connected() as connection:
            connection.execute(SQL["end_connections"])

    def open_work(self, grace_seconds: float) -> Open:
        """How much is left, and when something may be done about it."""
        with self.connected() as connection:
            row = connection.execute(SQL["open_work"], {"grace_seconds": grace_seconds}).one()
        return Open(row.left_over, row.idle_seconds)

    def rows(self, name: str) -> list[Any]:
        """The rows of a named statement without parameters."""
        with self.connected() as connection:
            return list(connection.execute(SQL[name]))

    def ask(self, statement: TextClause, **parameters: Any) -> list[Any]:
        """Execute another file's statement; its rows, if it has any."""
        with self.connected() as connection:
            result = connection.execute(statement, parameters)
            return list(result) if result.returns_rows else []

    def close(self) -> None:
        """Give this process's connection back."""
        engine = self._engines.pop(os.getpid(), None)
        if engine is not None:
            engine.dispose()

    @contextmanager
    def connected(self) -> Iterator[Connection]:
        """One transaction on this process's connection, committed at the end."""
        engine = self._engines.get(os.getpid())
        if engine is None:
            engine = create_engine(application_url(self.url), pool_size=1)
            self._engines[os.getpid()] = engine
        with engine.begin() as connection:
            yield connection
