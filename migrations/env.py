"""Alembic's entry: `batch-assets migrate` hands a connection in, `alembic …` has it opened here."""

import os
from collections.abc import Collection
from typing import Any, cast

from alembic import context
from sqlalchemy import Connection

from batch_assets.domain.errors import ConfigurationError
from batch_assets.store.livedash_contract import livedash_is_present
from batch_assets.store.migrating.session import (
    make_own_schema,
    migrating_connection,
    remove_own_schema_if_bare,
    say_who_may_use,
)
from batch_assets.store.tables import metadata
from batch_assets.store.tables.base import OWN_SCHEMA


def is_ours_to_compare(
    _item: object, _name: str | None, _kind: str, reflected: bool, counterpart: object
) -> bool:
    """Leave out what the database alone has: more tables and columns are LiveDash's affair."""
    return not reflected or counterpart is not None


def run(connection: Connection) -> None:
    def say_after(*, heads: Collection[str], **_more: Any) -> None:
        """In each migration's transaction: nobody sees its tables without what it says of them."""
        say_who_may_use(connection, next(iter(heads), None))

    context.configure(
        connection=connection,
        target_metadata=metadata,
        version_table_schema=OWN_SCHEMA,
        include_schemas=True,
        include_object=is_ours_to_compare,
        transaction_per_migration=True,
        on_version_apply=cast("Any", say_after),
    )
    migration = context.get_context()
    changes = not migration.opts.get("dont_mutate")
    if changes and not migration.get_current_heads():
        # Before Alembic makes its version table: a refusal leaves nothing behind.
        livedash_is_present(connection)
        make_own_schema(connection)
    connection.commit()
    with context.begin_transaction():
        context.run_migrations()
    heads = migration.get_current_heads()
    if changes and heads:
        # Of a database that an older version of the code migrated.
        say_who_may_use(connection, *heads)
    if changes and not heads:
        remove_own_schema_if_bare(connection)
    connection.commit()


if context.is_offline_mode():
    raise ConfigurationError(
        "These migrations look at what the database has, so they cannot be written out as SQL: "
        "run them without --sql."
    )

given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    report = context.config.attributes.setdefault("report", context.config.print_stdout)
    with migrating_connection(os.environ.get("DATABASE_URL", ""), report) as opened:
        run(opened)
