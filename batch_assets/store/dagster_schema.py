"""The PostgreSQL schema that Dagster's own tables live in; Dagster makes the tables itself."""

from typing import Any

from psycopg import errors
from sqlalchemy import URL, NullPool, create_engine, event, text
from sqlalchemy.exc import DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.pool import ConnectionPoolEntry

from batch_assets.domain.errors import (
    ConfigurationError,
    MigrationsMissingError,
    RightMissingError,
)
from batch_assets.store.connection_failures import database_unavailable, reached
from batch_assets.store.connection_settings import TRANSACTION_TIMEOUT_SINCE, settle_libpq
from batch_assets.store.database_errors import lacking, to_migrate
from batch_assets.store.livedash_contract import listed
from batch_assets.store.rights import (
    given_on_later_dagster_tables,
    missing_rights_of_dagster,
    role_of,
)
from batch_assets.store.urls import DAGSTER_SCHEMA, application_url, dagster_url, describe

_EXISTS = text("SELECT to_regnamespace('dagster') IS NOT NULL")
_CREATE = text("CREATE SCHEMA IF NOT EXISTS dagster")
_IN_USE = text("""
    SELECT
        current_schema()::text AS schema_name,
        n.oid IS NOT NULL AS is_there,
        EXISTS (
            SELECT FROM pg_catalog.pg_class AS t WHERE t.relnamespace = n.oid AND t.relname = 'runs'
        ) AS has_tables,
        has_schema_privilege(n.oid, 'CREATE') AS may_create
    FROM (VALUES (true)) AS one (row)
    LEFT JOIN pg_catalog.pg_namespace AS n ON n.nspname = 'dagster'
""")


def create_dagster_schema(url: str) -> None:
    """Make the schema if it is missing. Any number of processes may do so at once.

    Raises:
        DatabaseUnavailableError: the database cannot be reached.
        RightMissingError: the user may not make it.
    """
    with reached(url) as connection:
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
            raise RightMissingError(
                f"The user may not make the schema dagster in the {describe(url)}: let its owner "
                "run `CREATE SCHEMA dagster AUTHORIZATION …`, or set DAGSTER_DATABASE_URL."
            ) from None


def left_of_dagster(url: str) -> str | None:
    """What stays when all of ours is taken back, and how it goes; `None` if nothing of Dagster's.

    Raises:
        DatabaseUnavailableError: the database cannot be reached.
    """
    with reached(url) as connection:
        if not connection.execute(_EXISTS).scalar_one():
            return None
        roles = given_on_later_dagster_tables(connection)
    given = f", and rights of {listed(roles)}" if roles else ""
    return (
        f"Left in the {describe(url)}: the schema dagster with the history of runs "
        f'(`DROP SCHEMA dagster CASCADE` removes it){given}: see docs/rights.md, "Take it back".'
    )


def require_dagster_schema(url: str) -> int:
    """See that Dagster's own connections would find the schema, and may use what is in it.

    Returns the server's version, as in 180006.

    Raises:
        MigrationsMissingError: the schema is missing, or has no tables and may get none.
        RightMissingError: the user may not use what is in it.
        DatabaseUnavailableError: the database cannot be reached.
        ConfigurationError: a connection pooler loses the setting that leads to the schema; without
            that, Dagster would make its tables in LiveDash's.
    """
    settle_libpq()
    engine = create_engine(
        dagster_url(url),
        poolclass=NullPool,
        hide_parameters=True,
        connect_args={"connect_timeout": 10},
    )
    event.listen(engine, "connect", _allow_any_time)
    try:
        with engine.connect() as connection:
            found = connection.execute(_IN_USE).one()
            missing = [right.said for right in missing_rights_of_dagster(connection)]
            role = role_of(connection)
            driver_connection: Any = connection.connection.driver_connection
            server_version = int(driver_connection.server_version)
    except DBAPIError as error:
        if "startup parameter" not in str(error.orig):
            raise database_unavailable(error, engine.url) from None
        raise _behind_a_pooler(engine.url) from None
    if found.schema_name is None and found.is_there:
        raise lacking(engine.url, role, [f"USAGE on schema {DAGSTER_SCHEMA}", *missing])
    if found.schema_name is None:
        raise MigrationsMissingError(
            f"The {describe(url)} has no schema for Dagster's tables: "
            f"{to_migrate(application_url(url))}."
        )
    if found.schema_name != DAGSTER_SCHEMA:
        raise _behind_a_pooler(engine.url)
    if not (found.has_tables or found.may_create):
        raise MigrationsMissingError(
            f"The {describe(url)} has no tables of Dagster's, and its user may not make them: let "
            f"the user that owns the schema run `batch-assets migrate --grant-to {role}`."
        )
    if missing:
        raise lacking(engine.url, role, missing)
    return server_version


def _allow_any_time(connection: Any, _entry: ConnectionPoolEntry) -> None:
    """The URL cannot ask for it as long as the server's version is not known."""
    if connection.server_version >= TRANSACTION_TIMEOUT_SINCE:
        with connection.cursor() as cursor:
            cursor.execute("SET transaction_timeout = 0")
        connection.commit()


def _behind_a_pooler(url: URL) -> ConfigurationError:
    return ConfigurationError(
        f"The {describe(url)} is behind a connection pooler, which Dagster's storage cannot "
        "use: set DAGSTER_DATABASE_URL to the server's own address."
    )
