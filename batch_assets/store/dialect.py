"""SQLAlchemy's psycopg dialect, without the questions that it asks a server before the first use.

They would be nine statements a run, which is as many as an idle run needs for its work. What they
are about is known: names are qualified, no type of an extension is used, and psycopg has the
server's version from the login.
"""

from typing import Any, Final

from sqlalchemy import Connection
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

DRIVER: Final = "postgresql+psycopg_unasked"


class UnaskedDialect(PGDialect_psycopg):
    """For the application's own statements, which are all written out; not for reflection."""

    supports_statement_cache = True

    def initialize(self, connection: Connection) -> None:
        """Take from the login what the statements would ask for."""
        driver_connection: Any = connection.connection.driver_connection
        version = driver_connection.info.server_version
        self.server_version_info = (version // 10_000, version % 10_000)
        self.default_schema_name = "public"
        self.default_isolation_level = "READ COMMITTED"


registry.register(DRIVER.replace("+", "."), __name__, UnaskedDialect.__name__)
