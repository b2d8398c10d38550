"""Makes and removes indexes on tables that others are writing to."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from psycopg import errors
from sqlalchemy import Connection, Index, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateIndex, DropIndex

from batch_assets.domain.errors import MigrationRefusedError
from batch_assets.store.migrating.project import Report
from batch_assets.store.sql import load

_SQL = load(Path(__file__).with_name("indexes.sql"))
_TRIALS: Final = 20
_PAUSE_SECONDS: Final = 3.0

# CONCURRENTLY never stops reads or writes, but it waits for transactions that are under way, and
# whoever alters the table meanwhile waits behind it, with LiveDash's statements behind that. So no
# single wait is long. The build itself may take as long as the table is large.
_SETTINGS: Final = text(
    "SELECT set_config('lock_timeout', '5s', false), set_config('statement_timeout', '0', false)"
)


def make_index(connection: Connection, index: Index, report: Report) -> None:
    """Make the index CONCURRENTLY unless it is there; rebuild an INVALID leftover.

    The connection is in autocommit. `provenance` names the index before it is made. Raises
    `MigrationRefusedError` if other transactions leave no gap for it; a later run carries on.
    """

    def attempt() -> bool:
        valid = connection.execute(_SQL["state"], {"name": index.name}).scalar_one_or_none()
        if valid:
            return False
        connection.execute(_SQL["note"], {"name": index.name})
        if valid is not None:
            report(f'removing the INVALID leftover of the index "{index.name}"')
            connection.execute(DropIndex(index))
        connection.execute(CreateIndex(index))
        return True

    made = _patiently(connection, index, attempt, report)
    report(f'{"added" if made else "was there already:"} the index "{index.name}"')


def drop_index(connection: Connection, index: Index, report: Report) -> None:
    """Remove an index that we made CONCURRENTLY; the connection is in autocommit."""

    def attempt() -> bool:
        connection.execute(DropIndex(index, if_exists=True))
        return True

    _patiently(connection, index, attempt, report)
    connection.execute(_SQL["forget"], {"name": index.name})
    report(f'removed the index "{index.name}"')


def _table_of(index: Index) -> str:
    return "" if index.table is None else index.table.name


def _patiently(
    connection: Connection, index: Index, attempt: Callable[[], bool], report: Report
) -> bool:
    connection.execute(_SETTINGS)
    for trial in range(1, _TRIALS + 1):
        try:
            return attempt()
        except DBAPIError as error:
            if not isinstance(error.orig, errors.LockNotAvailable | errors.DeadlockDetected):
                raise
        if trial == 1:
            report(f'the index "{index.name}" has to wait for open transactions: trying again')
        time.sleep(_PAUSE_SECONDS)
    raise MigrationRefusedError(
        f'Other transactions on "{_table_of(index)}" left no gap for the index "{index.name}": '
        "try again at a quieter time; what is done so far stays and the rest is added then."
    )
