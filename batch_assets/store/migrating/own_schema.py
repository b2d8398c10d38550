"""The schema `batch_assets` itself: there before the first migration and after the last one."""

from pathlib import Path

from sqlalchemy import Connection

from batch_assets.store.sql import load

_SQL = load(Path(__file__).with_name("own_schema.sql"))


def make_own_schema(connection: Connection) -> None:
    """Make the schema, if need be: Alembic keeps its version table there."""
    connection.execute(_SQL["make"])


def remove_own_schema_if_bare(connection: Connection) -> None:
    """Remove the schema if only an empty version table is left, so that no trace of us stays."""
    if connection.execute(_SQL["has_more_than_version"]).scalar_one():
        return
    connection.execute(_SQL["drop_version"])
    connection.execute(_SQL["drop"])
