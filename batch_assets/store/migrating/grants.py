"""Gives the role that runs what it needs and does not have, and takes nothing away."""

from psycopg import errors
from sqlalchemy import Connection
from sqlalchemy.exc import ProgrammingError

from batch_assets.domain.display import plural
from batch_assets.domain.errors import ConfigurationError, RightMissingError
from batch_assets.store.connection_failures import reached
from batch_assets.store.livedash_contract import listed
from batch_assets.store.migrating.project import Report
from batch_assets.store.rights import (
    hidden_tables,
    is_role,
    missing_rights,
    rights_on_later_tables,
    role_of,
)
from batch_assets.store.urls import describe


def require_role(url: str, role: str) -> None:
    """See that the server knows a role.

    Raises:
        ConfigurationError: it does not.
    """
    with reached(url) as connection:
        if not is_role(connection, role):
            raise ConfigurationError(
                f'The server of the {describe(url)} has no role "{role}": make it first '
                "(CREATE ROLE … LOGIN PASSWORD …), and write its name as the server has it."
            )


def grant(url: str, role: str, report: Report) -> None:
    """Give a role the rights of whoever runs: all of them, or none.

    Raises:
        RightMissingError: this user may not give one of them.
    """
    with reached(url) as connection, connection.begin():
        missing = missing_rights(connection, role)
        for right in missing:
            try:
                _run(connection, right.given_by)
            except ProgrammingError as error:
                if not isinstance(error.orig, errors.InsufficientPrivilege):
                    raise
                raise _refused(connection, url, [right.said]) from None
        # What may be given in part only is a warning to PostgreSQL, and no error.
        left = [right.said for right in missing_rights(connection, role)]
        if left:
            raise _refused(connection, url, left)
        if role != role_of(connection):
            for statement in rights_on_later_tables(connection, role):
                _run(connection, statement)
        hidden = hidden_tables(connection, role)
    given = plural(len(missing), "GRANT") if missing else "it had them all"
    report(f'"{role}" has the rights that the jobs need in the {describe(url)}: {given}')
    if hidden:
        report(
            f"{listed(hidden)} has row-level security, which stops the jobs: let a superuser run "
            f'ALTER ROLE "{role}" BYPASSRLS'
        )


def _run(connection: Connection, statement: str) -> None:
    # Without parameters the driver sends it as it is: a name may have `%` and `:` in it.
    connection.exec_driver_sql(statement, execution_options={"no_parameters": True})


def _refused(connection: Connection, url: str, rights: list[str]) -> RightMissingError:
    # The transaction is in doubt, and the name is the URL's in nearly every case.
    user = connection.engine.url.username or "this user"
    return RightMissingError(
        f"In the {describe(url)} {user} may not give {'; '.join(rights[:1])}"
        f"{' and more' if rights[1:] else ''}: nothing was given. Run it as the user that owns "
        "the tables, LiveDash's too."
    )
