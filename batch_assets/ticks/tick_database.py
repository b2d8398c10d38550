"""The database as a tick reads it: briefly, on a connection of its own, and never an error.

The ticks of a code location share one of these, so that where the database is has to be found out
only once. A connection is opened for each statement and closed after it.
"""

from collections.abc import Callable
from threading import Lock
from typing import TypeVar

import psycopg
from psycopg import errors
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from batch_assets.domain.errors import (
    BatchAssetsError,
    DatabaseUnavailableError,
    MigrationsMissingError,
)
from batch_assets.ops.failures import database_sentence
from batch_assets.settings import Settings
from batch_assets.store.connection_failures import database_unavailable, is_lost
from batch_assets.store.database_errors import to_migrate
from batch_assets.store.engine import LOOK_SECONDS, open_engine_for_looks
from batch_assets.store.urls import describe
from batch_assets.wiring import Endpoints, connect

_Read = TypeVar("_Read")


class TickDatabase:
    """Opens the database for those who read it; made without doing anything.

    Threads may share it.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = Lock()
        self._endpoints: Endpoints | None = None
        self._engine: Engine | None = None

    @property
    def endpoints(self) -> Endpoints:
        """Where the database and the API are; found out once, and again after a failure."""
        with self._lock:
            if self._endpoints is None:
                self._endpoints = connect(self._settings)
            return self._endpoints

    def read(self, query: Callable[[Engine], _Read]) -> _Read:
        """Return what `query` reads on an engine that keeps no connection.

        Raises:
            BatchAssetsError: Why it cannot be read, in one sentence.
        """
        engine = self._opened()
        try:
            return query(engine)
        except (DBAPIError, psycopg.Error) as error:
            self._forget()
            raise _explained(error, engine) from None

    def _opened(self) -> Engine:
        endpoints = self.endpoints
        with self._lock:
            if self._engine is None:
                self._engine = open_engine_for_looks(endpoints.database_url)
            return self._engine

    def _forget(self) -> None:
        """A local stack that was started again may be elsewhere."""
        with self._lock:
            self._endpoints = None
            self._engine = None


def _explained(error: DBAPIError | psycopg.Error, engine: Engine) -> BatchAssetsError:
    where = f"The {describe(engine.url)}"
    if isinstance(error, DBAPIError):
        if is_lost(error):
            return database_unavailable(error, engine.url)
        if isinstance(error.orig, errors.UndefinedTable | errors.InvalidSchemaName):
            return MigrationsMissingError(
                f"{where} lacks tables that this version needs: {to_migrate(engine.url)}."
            )
        if isinstance(error.orig, errors.QueryCanceled | errors.LockNotAvailable):
            return DatabaseUnavailableError(
                f"{where} did not answer within {LOOK_SECONDS} s: the next tick asks again."
            )
    return BatchAssetsError(database_sentence(error))
