"""The lock that one daemon of Dagster's has on a database, so that nobody starts a second one.

It lasts as long as a transaction, and so ends with whoever has it: a process that was killed, or a
host that is gone (within about a minute), leaves nothing behind. `batch_assets.daemon` is held in
Dagster's database, since that is what two daemons would share.
"""

import os
import socket
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from batch_assets.domain.display import escaped
from batch_assets.domain.errors import BatchAssetsError
from batch_assets.store.connection_failures import database_unavailable, is_connection_failure
from batch_assets.store.engine import open_engine_for_looks
from batch_assets.store.sql import load

SQL: Final = load(Path(__file__).with_suffix(".sql"))
_HOST_CHARACTERS: Final = 25
"""PostgreSQL keeps 63 characters of a session's name."""


class SoleDaemon:
    """The lock of one process; nothing is asked before `take`."""

    def __init__(self, url: str) -> None:
        self._engine: Engine = open_engine_for_looks(url)
        self._connection: Connection | None = None
        host = socket.gethostname()[:_HOST_CHARACTERS]
        self._name = f"batch-assets on {host} since {datetime.now(UTC):%Y-%m-%d %H:%M}"
        """How this process is called among the database's sessions."""

    def take(self) -> None:
        """Have the lock from now on, on a session of its own.

        Raises:
            BatchAssetsError: Another daemon has it; the sentence says on which host, since when.
            DatabaseUnavailableError: The database does not answer.
        """
        try:
            self._take()
        except DBAPIError as error:
            self._leave()
            if not is_connection_failure(error):
                raise
            raise database_unavailable(error, self._engine.url) from None

    def keep(self) -> None:
        """See that the database answers, and take the lock again if its session was lost.

        Raises:
            BatchAssetsError: As `take`.
        """
        if self._connection is not None:
            try:
                self._connection.execute(SQL["look"])
            except DBAPIError:
                self._leave()
        if self._connection is None:
            self.take()

    def close(self) -> None:
        """Give it back."""
        self._leave()
        self._engine.dispose()

    def outlive_this_program(self) -> None:
        """Let the program have it that this process becomes (`os.execv`)."""
        if self._connection is not None:
            driver_connection: Any = self._connection.connection.driver_connection
            os.set_inheritable(driver_connection.fileno(), True)

    def _take(self) -> None:
        connection = self._connection = self._engine.connect()
        connection.execute(SQL["settle"], {"holder": self._name})
        if connection.execute(SQL["take"]).scalar_one():
            return
        holder = connection.execute(SQL["holder"]).scalar()
        self._leave()
        who = f" ({escaped(holder)} UTC)" if holder else ""
        raise BatchAssetsError(
            f"A daemon is at work on this database already{who}, and two would start each run "
            "twice: end that one first, or start only `batch-assets webserver` here."
        )

    def _leave(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(DBAPIError):
                connection.invalidate()
                connection.close()
