"""The first migration, up and down: add what LiveDash's database lacks, take back the same.

Indexes are made and removed on tables that others are writing to.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from alembic.runtime.migration import MigrationContext
from psycopg import errors
from sqlalchemy import Connection, Index, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateIndex, DropIndex

from batch_assets.domain.errors import MigrationRefusedError
from batch_assets.store.livedash_contract import livedash_is_present
from batch_assets.store.migrating.project import Report, run_script
from batch_assets.store.sql import load
from batch_assets.store.tables.livedash import OPTIMISATION_INDEXES

SQL = load(Path(__file__).with_suffix(".sql"))

_ALL_INDEXES: Final = [str(index.name) for index in OPTIMISATION_INDEXES]
_TRIALS: Final = 20
_PAUSE_SECONDS: Final = 3.0

# CONCURRENTLY never stops reads or writes, but it waits for transactions that are under way, and
# whoever alters the table meanwhile waits behind it, with LiveDash's statements behind that. So no
# single wait is long. The build itself may take as long as the table is large.
_SETTINGS: Final = text(
    "SELECT set_config('lock_timeout', '5s', false), set_config('statement_timeout', '0', false)"
)


def add_what_is_missing(migration: MigrationContext, report: Report) -> None:
    """Make LiveDash's tables in one transaction, or add the three indexes to those that are there.

    On tables that are there it may stop half-way and be run again: each index is noted in
    `provenance` and made by itself.

    Raises:
        MigrationRefusedError: the database does not suit; nothing was changed.
    """
    connection = connection_of(migration)
    if livedash_is_present(connection):
        run_script(connection, "0001_provenance.sql")
        connection.execute(SQL["note_found"])
        report("LiveDash's tables were there already: left as they are")
        with migration.autocommit_block():
            for index in OPTIMISATION_INDEXES:
                make_index(connection_of(migration), index, report)
        return
    run_script(connection, "0001_livedash_create.sql")
    run_script(connection, "0001_provenance.sql")
    connection.execute(SQL["note_made"], {"indexes": _ALL_INDEXES})
    report("made LiveDash's tables: there were none")


def remove_what_was_added(
    migration: MigrationContext, report: Report, *, drop_rows: bool = False
) -> None:
    """Take back what `add_what_is_missing` added.

    LiveDash's tables go only if they were made here and are empty, or if `drop_rows` says that
    their rows may go too; otherwise they and their rows stay, without the indexes made here.
    """
    connection = connection_of(migration)
    made_here, indexes = livedash_made_here(connection), indexes_made_here(connection)
    if made_here and _may_drop(connection, drop_rows=drop_rows):
        run_script(connection, "0001_livedash_drop.sql")
        connection.execute(SQL["drop_provenance"])
        report("removed LiveDash's tables: they were made here")
        return
    with migration.autocommit_block():
        for index in OPTIMISATION_INDEXES:
            if index.name in indexes:
                drop_index(connection_of(migration), index, report)
    if made_here:
        report(
            "LiveDash's tables were made here but hold rows: they stay "
            "(-x drop-livedash=yes removes them with their rows)"
        )
    else:
        connection_of(migration).execute(SQL["drop_provenance"])
        report("LiveDash's own tables stay as they are")


def livedash_made_here(connection: Connection) -> bool:
    """Whether the first migration made LiveDash's tables, and did not find them."""
    return bool(connection.execute(SQL["provenance"]).one().livedash_made_here)


def indexes_made_here(connection: Connection) -> list[str]:
    """The names of the indexes on LiveDash's tables that migrations have made."""
    return list(connection.execute(SQL["provenance"]).one().indexes_made_here)


def holds_rows(connection: Connection) -> bool:
    """Whether there is a row in any of the tables that the first migration makes."""
    return bool(connection.execute(SQL["has_rows"]).scalar_one())


def _may_drop(connection: Connection, *, drop_rows: bool) -> bool:
    # Looked at twice: tables that are in use are not locked in vain, and what was empty may not
    # be empty any more once the lock is there.
    if not drop_rows and holds_rows(connection):
        return False
    connection.execute(SQL["lock"])
    return drop_rows or not holds_rows(connection)


def connection_of(migration: MigrationContext) -> Connection:
    """The migration's connection, which `autocommit_block` may have exchanged.

    Raises:
        RuntimeError: it has none, as where only scripts are written.
    """
    connection = migration.connection
    if connection is None:
        raise RuntimeError("migrations need a connection: they look at what is there")
    return connection


def make_index(connection: Connection, index: Index, report: Report) -> None:
    """Make the index CONCURRENTLY unless it is there; rebuild an INVALID leftover.

    The connection is in autocommit. `provenance` names the index before it is made.

    Raises:
        MigrationRefusedError: other transactions leave no gap for it; a later run carries on.
    """

    def attempt() -> bool:
        valid = connection.execute(SQL["state"], {"name": index.name}).scalar_one_or_none()
        if valid:
            return False
        connection.execute(SQL["note"], {"name": index.name})
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
    connection.execute(SQL["forget"], {"name": index.name})
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
