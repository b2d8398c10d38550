"""Moments that PostgreSQL knows and Python does not: read as the last or the first that it does."""

from datetime import UTC, datetime
from typing import Final

import psycopg
from psycopg.abc import Buffer
from psycopg.types.datetime import TimestamptzLoader

FIRST: Final = datetime.min.replace(tzinfo=UTC)
LAST: Final = datetime.max.replace(tzinfo=UTC)


class BoundedTimestamptzLoader(TimestamptzLoader):
    """Reads any `timestamptz`: one moment of one row must not fail a statement over all of them.

    What is infinite, before the year 1 or after 9999 is the first or the last moment that there is,
    so that an order stays as it was. Whoever decides by such a moment asks in SQL.
    """

    def load(self, data: Buffer) -> datetime:
        """The moment, in the session's time zone, or a bound in UTC."""
        try:
            return super().load(data)
        except psycopg.DataError:
            text = bytes(data)
            return FIRST if text.startswith(b"-") or text.endswith(b"BC") else LAST
