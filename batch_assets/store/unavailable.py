"""Turns the driver's error of a database that cannot be used into the sentence for people."""

from psycopg import errors
from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError

from batch_assets.domain.errors import DatabaseUnavailableError
from batch_assets.domain.hosts import run_out_by_words
from batch_assets.store.urls import describe

# libpq gives no error code for a connection that failed, only text: the server's is English unless
# lc_messages says otherwise. What is not recognised gets the last sentence of
# `database_unavailable`.
_SAID_SO_MEANS = (
    (
        "password authentication failed",
        "refuses the user name or the password: check both in DATABASE_URL",
    ),
    ("no password supplied", "asks for a password: put one into DATABASE_URL"),
    ('FATAL:  database "', "does not exist on that server: check its name in DATABASE_URL"),
    ('FATAL:  role "', "does not know the user: check its name in DATABASE_URL"),
    (
        "permission denied for database",
        "does not let this user in: let the database's owner run `batch-assets migrate --grant-to` "
        "with the user's name",
    ),
    ("no pg_hba.conf entry", "does not let this user in from here: allow it in pg_hba.conf"),
    (
        "certificate verify failed",
        "shows a certificate that its authority has not signed: check sslcert (or sslrootcert) in "
        "DATABASE_URL",
    ),
    (
        "does not match host name",
        "shows a certificate of another name: use the name that it is for in DATABASE_URL",
    ),
    (
        "certificate file",
        "is to be reached with a certificate that cannot be read: check the paths in DATABASE_URL",
    ),
    ("SSL", "and DATABASE_URL do not agree on encryption: check sslmode in DATABASE_URL"),
    ("refused", "does not answer: start the server, or check host and port in DATABASE_URL"),
    ("No such file", "does not answer: start the server, or check the host in DATABASE_URL"),
    ("resolve host", "cannot be found: check the host name in DATABASE_URL"),
    ("translate host", "cannot be found: check the host name in DATABASE_URL"),
    ("timeout", "does not answer in time: check host, port and firewall"),
    ("too many", "has no connection left: raise max_connections, or let fewer programs connect"),
    ("starting up", "is still starting: try again in a moment"),
)


def database_unavailable(error: DBAPIError, url: URL) -> DatabaseUnavailableError:
    """One sentence with host, port and database, what is wrong and what to do.

    The password is not in it, nor any text of a statement.
    """
    said = str(error.orig)
    own = run_out_by_words(said)
    if own is not None:
        return DatabaseUnavailableError(own)
    for said_so, means in _SAID_SO_MEANS:
        if said_so in said:
            return DatabaseUnavailableError(f"The {describe(url)} {means}.")
    return DatabaseUnavailableError(
        f"The {describe(url)} cannot be used: check that the server runs and that DATABASE_URL "
        "is right."
    )


def is_connection_failure(error: DBAPIError) -> bool:
    """Whether the error means that the connection could not be made, or was lost."""
    return error.connection_invalidated or (
        isinstance(error.orig, errors.OperationalError) and error.orig.sqlstate is None
    )
