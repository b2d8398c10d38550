"""The database of a schedule: emptied, filled, and asked in the end.

Nothing stays open between two calls: the process forks.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, NullPool, create_engine

from batch_assets.store.sql import load
from batch_assets.store.urls import application_url
from drills.story import Request

SQL = load(Path(__file__).with_suffix(".sql"))


@dataclass(frozen=True)
class Open:
    """What is not finished."""

    left_over: int
    lease_seconds: float | None
    """When the first lease runs out that is still held."""


@dataclass(frozen=True)
class World:
    """One database, for one schedule after the other."""

    url: str

    def begin(self, requests: Sequence[Request]) -> None:
        """Empty it, and let these requests wait in it."""
        self.end_connections()
        ids = [request.id for request in requests]
        of_companies = [request.company_id for request in requests]
        models = [request.model for request in requests]
        with self._connected() as connection:
            connection.execute(SQL["empty"])
            connection.execute(SQL["settle_here"])
            connection.execute(SQL["companies"], {"company_ids": sorted(set(of_companies))})
            connection.execute(SQL["sessions"], {"ids": ids, "of_companies": of_companies})
            connection.execute(SQL["messages"], {"ids": ids})
            connection.execute(SQL["requests"], {"ids": ids, "models": models})

    def end_connections(self) -> None:
        """Cut the application's connections, as a server that fails over does."""
        with self._connected() as connection:
            connection.execute(SQL["end_connections"])

    def open_work(self) -> Open:
        """How much is left, and how long it may be held."""
        with self._connected() as connection:
            row = connection.execute(SQL["open_work"]).one()
        return Open(row.left_over, row.lease_seconds)

    def rows(self, name: str) -> list[Any]:
        """The rows of a named statement without parameters."""
        with self._connected() as connection:
            return list(connection.execute(SQL[name]))

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        engine = create_engine(application_url(self.url), poolclass=NullPool)
        try:
            with engine.begin() as connection:
                yield connection
        finally:
            engine.dispose()
