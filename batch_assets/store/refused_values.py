"""Values that LiveDash's database does not take: CHECK constraints by hand, widths, ranges."""

from typing import Final

import psycopg
from psycopg import errors

from batch_assets.domain.failures import Failure, FailureKind
from batch_assets.store.tables.base import OWN_SCHEMA

REFUSED_BY_DATABASE: Final = Failure(
    FailureKind.PERMANENT,
    "refused_by_database",
    "LiveDash's database refuses what the answer holds: a CHECK constraint, or a column's width.",
)

_REFUSALS: Final = (
    errors.CheckViolation,
    errors.NotNullViolation,
    errors.StringDataRightTruncation,
    errors.NumericValueOutOfRange,
    errors.DatetimeFieldOverflow,
    errors.UntranslatableCharacter,
    errors.CharacterNotInRepertoire,
    errors.InvalidTextRepresentation,
)


def refuses_value(error: Exception) -> bool:
    """Whether LiveDash's database, or the driver before it, has refused a value of some row.

    What a table of ours refuses is a fault of ours, and no row's.
    """
    cause = getattr(error, "orig", None) or error
    if isinstance(cause, psycopg.Error) and cause.diag.schema_name == OWN_SCHEMA:
        return False
    # The driver refuses a NUL in a text by itself, without a code of the server's.
    return isinstance(cause, _REFUSALS) or type(cause) is psycopg.DataError
