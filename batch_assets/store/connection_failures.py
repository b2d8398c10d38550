"""Connections that cannot be made or are lost: the sentence for people, and trying once more.

A lost connection is no verdict on what was asked: it is asked again on another one.
"""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Final, ParamSpec, TypeVar

import psycopg
from psycopg import errors
from sqlalchemy import URL, Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from batch_assets.domain.errors import BatchAssetsError, DatabaseUnavailableError
from batch_assets.domain.hosts import run_out_by_words
from batch_assets.store.plain_engine import open_plain_engine
from batch_assets.store.urls import LIBPQ_PARAMETERS, describe

# libpq gives no error code for a connection that failed, only text: the server's is English unless
# lc_messages says otherwise. What is not recognised gets the last sentence of
# `database_unavailable`.
_VALUE_REFUSED = re.compile(
    r"""invalid "?(\w+)"? value: |invalid integer value ".*" for connection option "(\w+)\""""
)
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
    (
        ", no encryption",
        "does not let this user in without encryption: set sslmode=require in DATABASE_URL, or "
        "allow it in pg_hba.conf",
    ),
    ("no pg_hba.conf entry", "does not let this user in from here: allow it in pg_hba.conf"),
    (
        "certificate verify failed",
        "shows a certificate that cannot be trusted: it has run out, or another authority than "
        "that of sslcert (or sslrootcert) in DATABASE_URL has signed it",
    ),
    (
        "does not match host name",
        "shows a certificate of another name: use the name that it is for in DATABASE_URL",
    ),
    (
        "private key file",
        "is to be reached with a certificate whose key cannot be read, or not by this user alone: "
        "check sslkey in DATABASE_URL",
    ),
    (
        "root certificate file",
        "is to be trusted by an authority whose certificate cannot be read: give its whole path "
        "as sslrootcert= in DATABASE_URL, or sslrootcert=system",
    ),
    (
        "certificate file",
        "is to be reached with a certificate that cannot be read: check sslcert in DATABASE_URL",
    ),
    (
        "valid client certificate",
        "asks for a certificate of the user's: give it as sslcert= and sslkey= in DATABASE_URL",
    ),
    ("SSL", "and DATABASE_URL do not agree on encryption: check sslmode in DATABASE_URL"),
    (
        "invalid command-line argument",
        "takes no such options: correct options= in DATABASE_URL, or leave it out",
    ),
    (
        "definition of service",
        "is not described in libpq's file of services: check service= in DATABASE_URL",
    ),
    ("refused", "does not answer: start the server, or check host and port in DATABASE_URL"),
    ("No such file", "does not answer: start the server, or check the host in DATABASE_URL"),
    ("resolve host", "cannot be found: check the host name in DATABASE_URL"),
    ("translate host", "cannot be found: check the host name in DATABASE_URL"),
    ("timeout expired", "does not answer in time: check host, port and firewall"),
    ("timed out", "does not answer in time: check host, port and firewall"),
    ("too many", "has no connection left: raise max_connections, or let fewer programs connect"),
    ("starting up", "is still starting: try again in a moment"),
)


@contextmanager
def reached(url: str) -> Iterator[Connection]:
    """A connection of the plain engine, for what a command asks of a database.

    Raises:
        DatabaseUnavailableError: it cannot be made, or is lost.
    """
    engine = open_plain_engine(url)
    try:
        with engine.connect() as connection:
            yield connection
    except DBAPIError as error:
        if not is_connection_failure(error):
            raise
        raise database_unavailable(error, engine.url) from None


def database_unavailable(error: DBAPIError, url: URL) -> DatabaseUnavailableError:
    """One sentence with host, port and database, what is wrong and what to do.

    The password is not in it, nor any text of a statement.
    """
    said = str(error.orig)
    own = run_out_by_words(said)
    if own is not None:
        return DatabaseUnavailableError(own)
    refused = _VALUE_REFUSED.search(said)
    name = refused and (refused[1] or refused[2])
    if name in LIBPQ_PARAMETERS:
        return DatabaseUnavailableError(
            f"The {describe(url)} cannot be reached with this {name}= in DATABASE_URL: correct it, "
            "or leave it out."
        )
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


PAUSES_SECONDS: Final = (0.05, 0.5)
"""Before each further attempt. The first heals a connection that went stale in the pool."""

# What the server says as its last word. A COPY through the driver's own cursor raises it bare.
_LAST_WORDS = (errors.AdminShutdown, errors.CrashShutdown, errors.CannotConnectNow)

P = ParamSpec("P")
T = TypeVar("T")


def is_lost(error: Exception) -> bool:
    """Whether an error means that a connection was lost, or could not be made."""
    if isinstance(error, DBAPIError):
        return is_connection_failure(error) or isinstance(error.orig, _LAST_WORDS)
    return isinstance(error, psycopg.OperationalError) and (
        error.sqlstate is None or isinstance(error, _LAST_WORDS)
    )


def is_without_connection(error: Exception) -> bool:
    """Whether an error says nothing about what was asked: it never had a connection to the end."""
    return is_lost(error) or isinstance(error, PoolTimeoutError)


def is_nobodys(error: Exception) -> bool:
    """Whether it is no fault of an implementation: no connection, or what people put right."""
    return is_without_connection(error) or isinstance(error, BatchAssetsError)


def retry_lost(act: Callable[P, T]) -> Callable[P, T]:
    """The same, tried again on a new connection each time that its connection is lost.

    Three times at most; then the error is raised. For what may be done twice: an answer that was
    lost may have been a COMMIT's. Can be used as a decorator.
    """

    @wraps(act)
    def retried(*args: P.args, **kwargs: P.kwargs) -> T:
        for pause in PAUSES_SECONDS:
            try:
                return act(*args, **kwargs)
            except (DBAPIError, psycopg.Error) as error:
                if not is_lost(error):
                    raise
            time.sleep(pause)
        return act(*args, **kwargs)

    return retried
