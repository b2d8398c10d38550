"""Brings a database to the tables that this version of the code needs, and back."""

from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.util import CommandError
from psycopg import errors
from sqlalchemy import URL, Connection, Engine, Row, text
from sqlalchemy.exc import DBAPIError

from batch_assets.domain.errors import (
    BatchAssetsError,
    MigrationRefusedError,
    MigrationsMissingError,
    RightMissingError,
)
from batch_assets.store.connection_failures import (
    database_unavailable,
    is_connection_failure,
    retry_lost,
)
from batch_assets.store.database_errors import lacked_to_migrate, to_migrate
from batch_assets.store.migrating.project import (
    Report,
    alembic_config,
    head_revision,
    known_revisions,
)
from batch_assets.store.migrating.refusals import (
    refuse_to_drop_budgets,
    refuse_to_forget_accounts,
    refuse_while_at_work,
    refuse_while_in_flight,
    steps_back,
)
from batch_assets.store.migrating.session import (
    NEEDED,
    migrating_connection,
    refuse_encoding,
)
from batch_assets.store.plain_engine import open_plain_engine
from batch_assets.store.tables.base import OWN_SCHEMA
from batch_assets.store.urls import application_url, describe

_SCHEMA_STATE = text(
    "SELECT v.version_num,"
    " obj_description(CAST('batch_assets.alembic_version' AS regclass), 'pg_class') AS said"
    " FROM batch_assets.alembic_version AS v"
)


def silent(_sentence: str) -> None:
    """A report that nobody reads."""


def upgrade(url: str, report: Report = silent) -> None:
    """Bring the database to the newest revision; `report` hears what was added and what was there.

    Safe while LiveDash runs, and may be repeated: a run that was stopped half-way is carried on.
    Tables of a newer version with which this one can work stay as they are.

    Raises:
        DatabaseUnavailableError: the database cannot be reached.
        MigrationsMissingError: the tables are of a newer version, and do not suit this one.
        RightMissingError: the user may not migrate.
        MigrationRefusedError: the database does not suit, or was too busy.
    """
    with _migrating(url, report) as config:
        connection: Connection = config.attributes["connection"]
        refuse_encoding(connection)
        at = _current(connection)
        if at is not None and at not in known_revisions():
            _require_suitable(connection)
            report(f"a newer version made its tables (revision {at}); this one can work with them")
            return
        connection.rollback()
        command.upgrade(config, "head")


def downgrade(
    url: str,
    revision: str,
    report: Report = silent,
    *,
    drop_livedash: bool = False,
    drop_budgets: bool = False,
) -> None:
    """Take back all that came after `revision` ("base": everything).

    LiveDash's tables go only if this project made them and they are empty, or, with
    `drop_livedash`, whatever they hold. Budgets go only with `drop_budgets`.

    Raises:
        DatabaseUnavailableError: the database cannot be reached.
        RightMissingError: the user may not migrate.
        MigrationRefusedError: something is under way that nobody would end without our tables,
            budgets or accounts would be lost, a run is at work, or what `upgrade` is refused for.
    """
    with _migrating(url, report) as config:
        connection: Connection = config.attributes["connection"]
        database = describe(application_url(url))
        at = _current(connection)
        refuse_while_in_flight(connection, at, revision, f"The {database}")
        if not drop_budgets:
            refuse_to_drop_budgets(connection, at, revision, f"The {database}")
        refuse_to_forget_accounts(connection, at, revision, f"The {database}")
        if steps_back(at, revision):
            refuse_while_at_work(connection, database)
        connection.rollback()
        config.cmd_opts = Namespace(x=["drop-livedash=yes"] if drop_livedash else [])
        command.downgrade(config, revision)


def current(url: str) -> str | None:
    """The revision that the database is at; None before the first migration."""
    parsed = application_url(url)
    engine = open_plain_engine(url)
    with _explained(parsed), engine.connect() as connection:
        return _current(connection)


def _current(connection: Connection) -> str | None:
    options = {"version_table_schema": OWN_SCHEMA}
    return MigrationContext.configure(connection, opts=options).get_current_revision()


def require_suitable(engine: Engine) -> None:
    """See that this code can work with the tables that there are.

    They are at its newest revision, or at one that it does not know, of which whoever made it has
    said that this code can work with it: in a rolling upgrade both versions are at work. One query,
    and a connection of the engine's pool.

    Raises:
        MigrationsMissingError: it cannot.
    """
    with _explained(engine.url):
        _see_whether_suitable(engine)


@retry_lost
def _see_whether_suitable(engine: Engine) -> None:
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        _require_suitable(connection)


def _require_suitable(connection: Connection) -> None:
    url = connection.engine.url
    state = _schema_state(connection)
    if state is not None and state.version_num == head_revision():
        return
    if state is None or state.version_num in known_revisions():
        raise MigrationsMissingError(
            f"The {describe(url)} lacks tables that this version needs: {to_migrate(url)}."
        )
    if (state.said or "").removeprefix(NEEDED) not in known_revisions():
        raise MigrationsMissingError(
            f"The {describe(url)} was migrated by a newer version of batch-assets (revision "
            f"{state.version_num}), and this one cannot work with its tables: update the code."
        )


def _schema_state(connection: Connection) -> Row[Any] | None:
    try:
        return connection.execute(_SCHEMA_STATE).one_or_none()
    except DBAPIError as error:
        if isinstance(error.orig, errors.UndefinedTable | errors.InvalidSchemaName):
            return None
        raise


@contextmanager
def _migrating(url: str, report: Report) -> Iterator[Config]:
    config = alembic_config()
    with _explained(application_url(url)), migrating_connection(url, report) as connection:
        config.attributes.update(connection=connection, report=report)
        yield config


@contextmanager
def _explained(url: URL) -> Iterator[None]:
    """Turn what a person can put right into its sentence; other errors pass unchanged."""
    try:
        yield
    except DBAPIError as error:
        explained = _explanation(error, url)
        if explained is None:
            raise
        raise explained from None
    except CommandError as error:
        raise MigrationRefusedError(f"The {describe(url)} was not migrated: {error}") from None


def _lacks(url: URL) -> str:
    missing = lacked_to_migrate(url)
    return f" (missing: {', '.join(missing)})" if missing else ""


def _explanation(error: DBAPIError, url: URL) -> BatchAssetsError | None:
    if is_connection_failure(error):
        return database_unavailable(error, url)
    where = f"The {describe(url)}"
    match error.orig:
        case errors.InsufficientPrivilege():
            return RightMissingError(
                f"{where} does not let this user migrate{_lacks(url)}: use the user that owns "
                "LiveDash's tables, or give this one what docs/rights.md lists."
            )
        case errors.LockNotAvailable() | errors.QueryCanceled():
            return MigrationRefusedError(
                f"{where} is too busy: a table could not be locked in time, and nothing waits "
                "longer so that LiveDash is not held up. Try again at a quieter time."
            )
        case errors.DependentObjectsStillExist() as needed:
            return MigrationRefusedError(
                f"{where} holds things of others that need what should be removed "
                f"({needed.diag.message_primary}): remove those first."
            )
        case errors.ReadOnlySqlTransaction():
            return MigrationRefusedError(
                f"{where} is read-only, perhaps a replica: use the primary server's address."
            )
    return None
