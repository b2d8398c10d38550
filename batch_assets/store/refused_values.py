"""Values that LiveDash's database does not take: CHECK constraints by hand, widths, ranges."""

from collections.abc import Callable, Iterable
from typing import Final, TypeVar

import psycopg
from psycopg import errors
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from batch_assets.domain.failures import Failure, FailureKind
from batch_assets.store.tables.base import OWN_SCHEMA

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
