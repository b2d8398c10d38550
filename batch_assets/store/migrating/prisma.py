"""What Prisma's push makes besides LiveDash's tables, up and down: only where we made these.

The pipeline needs none of it. Without it Prisma reports drift on a database that these migrations
have made; a database that Prisma has made is left as it is.
"""

from pathlib import Path
from typing import Final

from alembic.runtime.migration import MigrationContext

from batch_assets.store.migrating.livedash import (
    connection_of,
    drop_index,
    holds_rows,
    indexes_made_here,
    livedash_made_here,
    make_index,
)
from batch_assets.store.migrating.project import Report, run_script
from batch_assets.store.sql import load
from batch_assets.store.tables.livedash import PRISMA_INDEXES

_SQL = load(Path(__file__).with_name("prisma.sql"))

_IMPORTS: Final = "SessionImport"
_IMPORT_KEY: Final = "Session_importId_fkey"
_COLUMNS: Final = {
    "CompanyAIModel.createdAt": "drop_company_ai_model_created_at",
    "Question.createdAt": "drop_question_created_at",
    "SessionQuestion.createdAt": "drop_session_question_created_at",
}


def add_what_prisma_makes(migration: MigrationContext, report: Report) -> None:
    """Add what is missing, and note it in `provenance`.

    It may stop half-way and be run again. The indexes are made one by one and CONCURRENTLY, which
    is not reported where the tables are still empty.
    """
    connection = connection_of(migration)
    run_script(connection, "0007_provenance_create.sql")
    if not livedash_made_here(connection):
        return
    before = set(connection.execute(_SQL["there"]).scalars())
    run_script(connection, "0007_prisma_create.sql")
    if _IMPORT_KEY not in before:
        connection.execute(_SQL["add_import_key"])
        if connection.execute(_SQL["has_lost_imports"]).scalar_one():
            report(
                f'sessions name imports that "{_IMPORTS}" does not have: the foreign key '
                f'"{_IMPORT_KEY}" holds for new ones only (NOT VALID)'
            )
        else:
            connection.execute(_SQL["validate_import_key"])
    made = sorted({_IMPORTS, _IMPORT_KEY, *_COLUMNS} - before)
    connection.execute(_SQL["note"], {"parts": made})
    told = report if holds_rows(connection) else _untold
    with migration.autocommit_block():
        for index in PRISMA_INDEXES:
            make_index(connection_of(migration), index, told)
    if made:
        report("added what Prisma makes besides LiveDash's tables: they were made here")


def remove_what_prisma_makes(
    migration: MigrationContext, report: Report, *, drop_rows: bool = False
) -> None:
    """Take back what `add_what_prisma_makes` has added.

    Imports stay if there are any, unless `drop_rows` says that LiveDash's rows may go.
    """
    connection = connection_of(migration)
    others = set(connection.execute(_SQL["others"]).scalar_one())
    made = indexes_made_here(connection)
    told = report if holds_rows(connection) else _untold
    with migration.autocommit_block():
        for index in PRISMA_INDEXES:
            if index.name in made:
                drop_index(connection_of(migration), index, told)
    connection = connection_of(migration)
    if _IMPORT_KEY in others:
        connection.execute(_SQL["drop_import_key"])
    if _IMPORTS in others:
        connection.execute(_SQL["lock_imports"])
        if drop_rows or not connection.execute(_SQL["has_imports"]).scalar_one():
            connection.execute(_SQL["drop_imports"])
        else:
            report(f'"{_IMPORTS}" was made here but holds rows: it stays')
    for part in sorted(others & _COLUMNS.keys()):
        connection.execute(_SQL[_COLUMNS[part]])
    run_script(connection, "0007_provenance_drop.sql")
    if others:
        report("removed what Prisma makes besides LiveDash's tables")


def _untold(_sentence: str) -> None:
    """A report that nobody needs."""
