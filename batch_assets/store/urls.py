"""From the one plain database URL that a user gives to what each driver needs.

LiveDash's URL may be given as it is: Prisma's own parameters are left out, libpq's are kept. No
sentence made here repeats the URL, since it holds the password.
"""

from collections.abc import Mapping
from typing import Final

from psycopg.pq import Conninfo
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from batch_assets.domain.errors import ConfigurationError
from batch_assets.store.tables.base import LIVEDASH_SCHEMA

DAGSTER_SCHEMA: Final = "dagster"
CONNECT_TIMEOUT_SECONDS: Final = "10"

_SCHEMES: Final = frozenset({"postgres", "postgresql"})
_LIBPQ_PARAMETERS: Final = frozenset(
    option.keyword.decode() for option in Conninfo.get_defaults()
) - {"user", "password", "dbname"}


def application_url(url: str) -> URL:
    """The URL for SQLAlchemy with psycopg 3; gives up a connection attempt after 10 s.

    Raises `ConfigurationError` if it is no PostgreSQL URL, names no database, or asks Prisma for
    another schema than `public`.
    """
    parsed = _parse(url)
    query = {"connect_timeout": CONNECT_TIMEOUT_SECONDS, **_libpq_query(parsed)}
    return parsed.set(drivername="postgresql+psycopg", query=query)


def dagster_url(url: str) -> str:
    """The URL for Dagster's storage, whose NOTIFY needs psycopg2; its tables go to `dagster`.

    The text holds the password.
    """
    parsed = _parse(url)
    query = _libpq_query(parsed)
    options = [*_values(query, "options"), f"-csearch_path={DAGSTER_SCHEMA}"]
    return parsed.set(
        drivername="postgresql+psycopg2", query={**query, "options": " ".join(options)}
    ).render_as_string(hide_password=False)


def describe(url: str | URL) -> str:
    """Which database on which server, for people; without the password."""
    parsed = _parse(url) if isinstance(url, str) else url
    hosts = _values(parsed.query, "host") or ([parsed.host] if parsed.host else [])
    ports = _values(parsed.query, "port") or [str(parsed.port or 5432)]
    place = ", ".join(hosts) or "the local socket"
    return f'database "{parsed.database}" at {place}, port {", ".join(ports)}'


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url.strip())
    except (ArgumentError, ValueError):
        # Not chained: what could not be read may hold a part of the password.
        raise ConfigurationError(
            "The database URL cannot be read: it must look like "
            "postgresql://user:password@host:5432/database, with special characters in the "
            "password written as %XX."
        ) from None
    if parsed.get_backend_name() not in _SCHEMES:
        raise ConfigurationError(
            "The database URL is not PostgreSQL's: it must begin with postgresql://."
        )
    if not parsed.database and "service" not in parsed.query:
        raise ConfigurationError(
            "The database URL names no database: put its name at the end, "
            "as in postgresql://user:password@host:5432/database."
        )
    _refuse_other_schema(parsed)
    return parsed


def _refuse_other_schema(parsed: URL) -> None:
    for schema in _values(parsed.query, "schema"):
        if schema != LIVEDASH_SCHEMA:
            raise ConfigurationError(
                f'The database URL asks for the schema "{schema}", but this project works on '
                f'LiveDash\'s tables in the schema "{LIVEDASH_SCHEMA}": leave schema= out, and '
                "give the URL of a database that has them there."
            )


def _libpq_query(parsed: URL) -> dict[str, tuple[str, ...] | str]:
    kept = {key: value for key, value in parsed.query.items() if key in _LIBPQ_PARAMETERS}
    # libpq's own shorthand, which only its URL parser knows; dropped, it would mean no TLS.
    if "true" in _values(parsed.query, "ssl"):
        kept.setdefault("sslmode", "require")
    return kept


def _values(query: Mapping[str, tuple[str, ...] | str], key: str) -> list[str]:
    value = query.get(key, ())
    return [value] if isinstance(value, str) else list(value)
