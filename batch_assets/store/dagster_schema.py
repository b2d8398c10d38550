"""The PostgreSQL schema that Dagster's own tables live in; Dagster makes the tables itself."""

from collections.abc import Iterator
from contextlib import contextmanager

from psycopg import errors
from sqlalchemy import Connection, NullPool, create_engine, text
from sqlalchemy.exc import DBAPIError, IntegrityError, ProgrammingError

from batch_assets.domain.errors import (
    ConfigurationError,
    MigrationRefusedError,
    MigrationsMissingError,
)
from batch_assets.store.engine import open_plain_engine
from batch_assets.store.session import settle_libpq
from batch_assets.store.unavailable import database_unavailable, is_connection_failure
from batch_assets.store.urls import DAGSTER_SCHEMA, application_url, dagster_url, describe

_EXISTS = text("SELECT to_regnamespace('dagster') IS NOT NULL")
_CREATE = text("CREATE SCHEMA IF NOT EXISTS dagster")
_IN_USE = text("SELECT current_schema()")


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
    """See that Dagster's own connections would find the schema.

    Raises `MigrationsMissingError` if it is missing, `DatabaseUnavailableError`, or
    `ConfigurationError` for a connection pooler, which loses the setting that leads to it: without
    that, Dagster would make its tables in LiveDash's schema.
    """
    settle_libpq()
    engine = create_engine(
        dagster_url(url), poolclass=NullPool, connect_args={"connect_timeout": 10}
    )
    try:
        with engine.connect() as connection:
            schema = connection.execute(_IN_USE).scalar_one()
    except DBAPIError as error:
        if "startup parameter" not in str(error.orig):
            raise database_unavailable(error, engine.url) from None
        schema = "none that it could choose"
    if schema is None:
        raise MigrationsMissingError(
            f"The {describe(url)} has no schema for Dagster's tables: run `batch-assets migrate`."
        )
    if schema != DAGSTER_SCHEMA:
        raise ConfigurationError(
            f"The {describe(url)} is behind a connection pooler, which Dagster's storage cannot "
            "use: set DAGSTER_DATABASE_URL to the server's own address."
        )


@contextmanager
def _connected(url: str) -> Iterator[Connection]:
    parsed = application_url(url)
    engine = open_plain_engine(url)
    try:
        with engine.connect() as connection:
            yield connection
    except DBAPIError as error:
        if not is_connection_failure(error):
            raise
        raise database_unavailable(error, parsed) from None
