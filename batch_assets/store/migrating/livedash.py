"""The first migration, up and down: add what LiveDash's database lacks, take back the same."""

from pathlib import Path
from typing import Final

from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection

from batch_assets.store.migrating.contract import livedash_is_present
from batch_assets.store.migrating.indexes import drop_index, make_index
from batch_assets.store.migrating.project import Report, run_script
from batch_assets.store.sql import load
from batch_assets.store.tables.livedash import OPTIMISATION_INDEXES

_SQL = load(Path(__file__).with_name("livedash.sql"))
_ALL_INDEXES: Final = [str(index.name) for index in OPTIMISATION_INDEXES]


def add_what_is_missing(migration: MigrationContext, report: Report) -> None:
    """Make LiveDash's tables in one transaction, or add the three indexes to those that are there.

    On tables that are there it may stop half-way and be run again: each index is noted in
    `provenance` and made by itself. Raises `MigrationRefusedError` before anything is changed.
    """
    connection = connection_of(migration)
    if livedash_is_present(connection):
        run_script(connection, "0001_provenance.sql")
        connection.execute(_SQL["note_found"])
        report("LiveDash's tables were there already: left as they are")
        with migration.autocommit_block():
            for index in OPTIMISATION_INDEXES:
                make_index(connection_of(migration), index, report)
        return
    run_script(connection, "0001_livedash_create.sql")
    run_script(connection, "0001_provenance.sql")
    connection.execute(_SQL["note_made"], {"indexes": _ALL_INDEXES})
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
        connection.execute(_SQL["drop_provenance"])
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
        connection_of(migration).execute(_SQL["drop_provenance"])
        report("LiveDash's own tables stay as they are")


def livedash_made_here(connection: Connection) -> bool:
    """Whether the first migration made LiveDash's tables, and did not find them."""
    return bool(connection.execute(_SQL["provenance"]).one().livedash_made_here)


def indexes_made_here(connection: Connection) -> list[str]:
    """The names of the indexes on LiveDash's tables that migrations have made."""
    return list(connection.execute(_SQL["provenance"]).one().indexes_made_here)


def holds_rows(connection: Connection) -> bool:
    """Whether there is a row in any of the tables that the first migration makes."""
    return bool(connection.execute(_SQL["has_rows"]).scalar_one())


def _may_drop(connection: Connection, *, drop_rows: bool) -> bool:
    # Looked at twice: tables that are in use are not locked in vain, and what was empty may not
    # be empty any more once the lock is there.
    if not drop_rows and holds_rows(connection):
        return False
    connection.execute(_SQL["lock"])
    return drop_rows or not holds_rows(connection)


def connection_of(migration: MigrationContext) -> Connection:
    """The migration's connection, which `autocommit_block` may have exchanged."""
    connection = migration.connection
    if connection is None:
        raise RuntimeError("migrations need a connection: they look at what is there")
    return connection
