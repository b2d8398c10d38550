"""What PostgreSQL takes in each of LiveDash's columns, at its edges: by type, as literals."""

from collections.abc import Iterator
from typing import Final

from sqlalchemy import Boolean, Column, Integer, Text
from sqlalchemy.dialects.postgresql import ENUM, INET, JSONB, REAL, TIMESTAMP, VARCHAR

ADDED_LATER: Final = "ADDED_LATER"
"""A value that the tests add to every enum of LiveDash's, as a later migration of its may."""

TIMES: Final = (
    "infinity",
    "-infinity",
    "20000-01-01 00:00+00",
    "294276-12-31 23:59:59.999999+00",
    "4714-11-24 00:00+00 BC",
    "0044-03-15 12:00+00 BC",
    "9999-12-31 23:59:59.999999+00",
    "0001-01-01 00:00+00",
    "2999-01-01 00:00+00",
)
REALS: Final = ("NaN", "Infinity", "-Infinity", "-1", "3.4028235e38", "1e-45", "0")
INTEGERS: Final = ("-2147483648", "2147483647", "-1", "0")
TEXTS: Final = (
    "",
    " ",
    "a\tb",
    "a\nb\r\n",
    "a\u2028b",
    "\x1b[2J\x07",
    "\ufeff\u202e\uffff",
    "\U0001f98a" * 12,
    "=cmd|'/C calc'!A1",
    "%s %(x)s :name {0} '; --",
    "../../v1/files",
    "x" * 600,
    "\u00e9" * 20_000,
)
DOCUMENTS: Final = (
    "null",
    "[]",
    '"x"',
    "1e400",
    '{"language": {"a": [1, null]}}',
    "[" * 500 + "]" * 500,
)
ADDRESSES: Final = ("0.0.0.0/0", "::ffff:1.2.3.4/96", "fe80::1")


def odd_values(column: Column[object]) -> Iterator[str | None]:
    """Values at the edges of a column, as text; `None` is NULL."""
    if column.nullable:
        yield None
    kind = column.type
    if isinstance(kind, ENUM):
        yield from (*kind.enums, ADDED_LATER)
    elif isinstance(kind, VARCHAR):
        yield from dict.fromkeys(text[: kind.length] for text in TEXTS)
    elif isinstance(kind, Boolean):
        yield from ("true", "false")
    else:
        yield from _BY_TYPE[type(kind)]


_BY_TYPE: Final = {
    TIMESTAMP: TIMES,
    REAL: REALS,
    Integer: INTEGERS,
    Text: TEXTS,
    JSONB: DOCUMENTS,
    INET: ADDRESSES,
}
