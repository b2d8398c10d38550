"""What an error of a statement means: no row's, or a value that LiveDash's database does not take.

No row's is it where LiveDash's tables have changed, the user lacks a right, or the database's host
is at its end. Each becomes a sentence, whoever has sent the statement. A company or a batch that
such an error meets first is not the cause of it: whoever goes on without what fails for one of them
must not take it for that, so it is no `DBAPIError`.

Values are refused by CHECK constraints by hand, widths and ranges.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, TypeVar

import psycopg
from psycopg import errors
from sqlalchemy import URL, Connection, ExceptionContext
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from batch_assets.domain.errors import (
    BatchAssetsError,
    DatabaseAtItsEndError,
    Failure,
    FailureKind,
    LiveDashChangedError,
    RightMissingError,
)
from batch_assets.store.connection_failures import is_connection_failure
from batch_assets.store.livedash_contract import computed_columns, faults_of, listed
from batch_assets.store.plain_engine import open_engine_for_the_catalog
from batch_assets.store.rights import (
    hidden_tables,
    missing_rights,
    missing_to_migrate,
    role_of,
)
from batch_assets.store.tables.base import LIVEDASH_SCHEMA, OWN_SCHEMA
from batch_assets.store.tables.livedash import LIVEDASH_TABLES
from batch_assets.store.urls import describe

_NAMES_NOTHING: Final = ("42", "3F")
"""SQLSTATE classes: syntax and access rules, schema names."""
_OF_ALL: Final = (*_NAMES_NOTHING, "0A", "25", "28", "53", "58")
"""And what is not supported, the transaction's state, logins, resources, the host's system."""
_NAMED_AT_MOST: Final = 5
_LATER: Final = "nothing is lost, and the next run goes on"
_AT_ITS_END: Final = {
    "53100": f"has no room left on its disk: make room there; {_LATER}",
    "53200": f"has no memory left: give its host more, or let less run there; {_LATER}",
    "53400": f"allows a statement less than it needs (temp_file_limit): raise that; {_LATER}",
    "58030": f"cannot read or write its files: look at its log and its disk; {_LATER}",
    "25006": (
        "takes no changes (a standby, or default_transaction_read_only): connect to the primary, "
        f"or make it writable; {_LATER}"
    ),
}
"""By SQLSTATE, as the end of a sentence."""


def explain(context: ExceptionContext) -> Exception | None:
    """What is raised in an error's place; `None`: it says what it is. A listener of engines."""
    error, engine = context.original_exception, context.engine
    if engine is None or not isinstance(error, psycopg.Error):
        return None
    meant = _AT_ITS_END.get(error.sqlstate or "")
    if meant is not None:
        return DatabaseAtItsEndError(f"The {describe(engine.url)} {meant}.")
    if isinstance(error, errors.InsufficientPrivilege):
        return refused_right(engine.url)
    changes = _changes(error, engine.url) if _may_be_a_change(error) else ()
    return changed(changes) if changes else None


def concerns_all(error: DBAPIError) -> bool:
    """Whether an error says nothing about the company or the batch that has met it."""
    sqlstate = getattr(error.orig, "sqlstate", None) or ""
    return is_connection_failure(error) or sqlstate.startswith(_OF_ALL)


def meant_by(error: BaseException) -> BatchAssetsError | None:
    """What an error says that another one's engine has met, as Dagster's; `None`: nothing of ours.

    Its database is at its end, or the user lacks a right.
    """
    cause = getattr(error, "orig", None) or error
    sqlstate = getattr(cause, "pgcode", None) or getattr(cause, "sqlstate", None) or ""
    if sqlstate == errors.InsufficientPrivilege.sqlstate:
        return RightMissingError(
            "The database does not let its user do all that is needed: let the user that owns the "
            "tables run `batch-assets migrate --grant-to ROLE`."
        )
    meant = _AT_ITS_END.get(sqlstate)
    return None if meant is None else DatabaseAtItsEndError(f"The database {meant}.")


def shorten(context: ExceptionContext) -> None:
    """Let an error of Dagster's statements show nothing of what they were given: it is printed.

    A listener of all engines, which minds those of Dagster's driver.

    Raises:
        BatchAssetsError: what `meant_by` says, instead of the statement's error.
    """
    error, engine = context.sqlalchemy_exception, context.engine
    if engine is None or engine.dialect.driver != "psycopg2" or error is None:
        return
    error.hide_parameters = True
    meant = meant_by(error)
    if meant is not None:
        raise meant


def changed(faults: Sequence[str]) -> LiveDashChangedError:
    """The sentence on what LiveDash's tables lack, and what to do."""
    return LiveDashChangedError(
        f"LiveDash's tables have changed: {listed(faults)}. Nothing is sent, and no result is read "
        "or thrown away, until they fit again: put that back, or install a version of this project "
        "that knows the change."
    )


def refused_right(url: URL) -> RightMissingError:
    """The sentence on which rights the user lacks, by the catalog and in nobody's language."""
    try:
        with open_engine_for_the_catalog(url).connect() as connection:
            role = role_of(connection)
            missing = [right.said for right in missing_rights(connection)]
            hidden = hidden_tables(connection)
    except SQLAlchemyError:
        role, missing, hidden = "ROLE", [], []
    if missing:
        return lacking(url, role, missing)
    if hidden:
        return RightMissingError(
            f"The {describe(url)} has row-level security on {listed(hidden)}, which would hide "
            f'rows from its user "{role}": let a superuser give that the attribute BYPASSRLS.'
        )
    return RightMissingError(
        f"The {describe(url)} does not let its user do all that is needed, and no right of those "
        "that `batch-assets migrate --grant-to ROLE` gives is seen to be missing: perhaps a "
        "trigger or a function of others asks for more, which the server's log names."
    )


def lacking(url: URL, role: str, missing: Sequence[str]) -> RightMissingError:
    """The sentence on what the user that runs lacks, and what to do."""
    return RightMissingError(
        f'The {describe(url)} does not let its user "{role}" do all that is needed. Missing: '
        f"{'; '.join(missing[:_NAMED_AT_MOST])}"
        f"{_more(len(missing) - _NAMED_AT_MOST)}. Let the user that owns the tables run "
        f"`batch-assets migrate --grant-to {role}`."
    )


def lacked_to_migrate(url: URL) -> Sequence[str]:
    """What the user lacks of the rights of whoever migrates; nothing if that cannot be seen."""
    try:
        with open_engine_for_the_catalog(url).connect() as connection:
            return missing_to_migrate(connection)
    except DBAPIError:
        return ()


def to_migrate(url: URL) -> str:
    """What to do where tables are missing, as the end of a sentence: by whom, if not this user."""
    whose = " as the role that migrates (docs/rights.md)" if lacked_to_migrate(url) else ""
    return f"run `batch-assets migrate`{whose}"


def _more(number: int) -> str:
    return f"; and on {number} more" if number > 0 else ""


def _may_be_a_change(error: psycopg.Error) -> bool:
    return (error.sqlstate or "").startswith(_NAMES_NOTHING) or isinstance(
        error, errors.InvalidTextRepresentation | errors.NotNullViolation
    )


def _changes(error: psycopg.Error, url: URL) -> list[str]:
    """What LiveDash's tables lack; asked on another connection, since the first is in doubt."""
    if isinstance(error, errors.NotNullViolation):
        return list(_new_columns(error))
    try:
        with open_engine_for_the_catalog(url).connect() as connection:
            if isinstance(error, errors.GeneratedAlways):
                return computed_columns(connection)
            return faults_of(connection)
    except SQLAlchemyError:
        return []


def _new_columns(error: psycopg.Error) -> Iterator[str]:
    """A column that must not be empty, and of which this version knows nothing."""
    where = error.diag
    known = {table.name: table.columns.keys() for table in LIVEDASH_TABLES}
    if (
        where.schema_name == LIVEDASH_SCHEMA
        and where.table_name is not None
        and where.column_name not in known.get(where.table_name, ())
    ):
        yield f'the column "{where.table_name}"."{where.column_name}" is new and must not be empty'


_Item = TypeVar("_Item")

REFUSED_BY_DATABASE: Final = Failure(
    FailureKind.PERMANENT,
    "refused_by_database",
    "LiveDash's database refuses what the answer holds: a CHECK constraint, or a column's width.",
)

# The first is whatever is wrong with data, also for the driver.
_REFUSALS: Final = (psycopg.DataError, errors.CheckViolation, errors.NotNullViolation)


def refuses_value(error: Exception) -> bool:
    """Whether LiveDash's database, or the driver before it, has refused a value of some row.

    What a table of ours refuses is a fault of ours, and no row's; but for an id that is too long
    for an index, whoever's it is.
    """
    cause = getattr(error, "orig", None) or error
    if isinstance(cause, errors.ProgramLimitExceeded):
        return True
    if isinstance(cause, psycopg.Error) and cause.diag.schema_name == OWN_SCHEMA:
        return False
    return isinstance(cause, _REFUSALS)


def refused_of(
    connection: Connection, items: Iterable[_Item], act: Callable[[_Item], object]
) -> list[_Item]:
    """Do something with each of these by itself, in a transaction; which of them are refused."""
    refused = []
    for item in items:
        try:
            with connection.begin_nested():
                act(item)
        except DBAPIError as error:
            if not refuses_value(error):
                raise
            refused.append(item)
    return refused
