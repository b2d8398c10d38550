"""The PostgreSQL schema that Dagster's own tables live in; Dagster makes the tables itself."""

from collections.abc import Iterator
from contextlib import contextmanager

from psycopg import errors
from sqlalchemy import Connection, NullPool, create_engine, text
from sqlalchemy.exc import DBAPIError, IntegrityError, ProgrammingError

from batch_assets.domain.errors import MigrationRefusedError, MigrationsMissingError
from batch_assets.store.unavailable import database_unavailable, is_connection_failure
from batch_assets.store.urls import application_url, describe

_EXISTS = text("SELECT to_regnamespace('dagster') IS NOT NULL")
_CREATE = text("CREATE SCHEMA IF NOT EXISTS dagster")


def create_dagster_schema(url: str) -> None:
    """Make the schema if it is missing. Any number of processes may do so at once.

    Raises `DatabaseUnavailableError`, or `MigrationRefusedError` if the user may not.
    """
    with _connected(url) as connection:
        if connection.execute(_EXISTS).scalar_one():
            return
        try:
            connection.execute(_CREATE)
            connection.commit()
        except IntegrityError:
            # Another process has made it at this very moment, which IF NOT EXISTS does not catch.
            connection.rollback()
        except ProgrammingError as error:
            if not isinstance(error.orig, errors.InsufficientPrivilege):
                raise
            raise MigrationRefusedError(
                f"The user may not make the schema dagster in the {describe(url)}: let its owner "
                "run `CREATE SCHEMA dagster AUTHORIZATION …`, or set DAGSTER_DATABASE_URL."
            ) from None


def require_dagster_schema(url: str) -> None:
    """Raise `MigrationsMissingError` if the schema is missing, or `DatabaseUnavailableError`."""
    with _connected(url) as connection:
        if not connection.execute(_EXISTS).scalar_one():
            raise MigrationsMissingError(
                f"The {describe(url)} has no schema for Dagster's tables: "
                "run `batch-assets migrate`."
            )


@contextmanager
def _connected(url: str) -> Iterator[Connection]:
    parsed = application_url(url)
    engine = create_engine(parsed, poolclass=NullPool, connect_args={"prepare_threshold": None})
    try:
        with engine.connect() as connection:
            yield connection
    except DBAPIError as error:
        if not is_connection_failure(error):
            raise
        raise database_unavailable(error, parsed) from None
