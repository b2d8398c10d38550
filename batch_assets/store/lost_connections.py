"""A lost connection is no verdict on what was asked: it is asked again on another one."""

import time
from collections.abc import Callable
from functools import wraps
from typing import Final, ParamSpec, TypeVar

import psycopg
from psycopg import errors
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from batch_assets.domain.errors import BatchAssetsError
from batch_assets.store.unavailable import is_connection_failure

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
