"""From the one plain database URL that a user gives to what each driver needs.

LiveDash's URL may be given as it is: Prisma's own parameters are left out, libpq's are kept. No
sentence made here repeats the URL, since it holds the password.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

from psycopg.pq import Conninfo
from sqlalchemy import URL

from batch_assets.domain.errors import ConfigurationError
from batch_assets.store.connection_settings import (
    KEEPALIVES,
    SERVER_KEEPALIVES,
    SESSION,
    TRANSACTION_TIMEOUT_SINCE,
    WITHOUT_LIMITS,
    WITHOUT_TRANSACTION_TIMEOUT,
    login_options,
    settle_encryption,
)
from batch_assets.store.tables.base import LIVEDASH_SCHEMA

DAGSTER_SCHEMA: Final = "dagster"
CONNECT_TIMEOUT_SECONDS: Final = "10"

_LAST_PORT: Final = 65_535
_HOST: Final = re.compile(
    r"(?:\[(?P<address>[0-9A-Fa-f:.%]*)\]|(?P<name>[^:\[\]]*))(?::(?P<port>[0-9]{0,5}))?"
)
_WHOLE: Final = re.compile("[0-9]{1,9}")
_SCHEMES: Final = frozenset({"postgres", "postgresql"})
_ACCELERATED: Final = frozenset({"prisma", "prisma+postgres"})
LIBPQ_PARAMETERS: Final = frozenset(
    option.keyword.decode() for option in Conninfo.get_defaults()
) - {"user", "password", "dbname", "sslpassword"}


def application_url(url: str) -> URL:
    """The URL for SQLAlchemy with psycopg 3; gives up a connection attempt after 10 s.

    Raises:
        ConfigurationError: it is no PostgreSQL URL, names no database, or asks Prisma for another
            schema than `public`.
    """
    parsed = _parse(url)
    query = {
        "connect_timeout": CONNECT_TIMEOUT_SECONDS,
        **KEEPALIVES,
        **parsed.query,
        "client_encoding": "utf8",
    }
    return parsed.set(drivername="postgresql+psycopg", query=query)


def dagster_url(url: str, server_version: int = 0) -> str:
    """The URL for Dagster's storage, whose NOTIFY needs psycopg2; its tables go to `dagster`.

    For a server of this version, as in 180006, or for any. The text holds the password.
    """
    parsed = _parse(url)
    ours = {**SESSION, **WITHOUT_LIMITS, **SERVER_KEEPALIVES, "search_path": DAGSTER_SCHEMA}
    if server_version >= TRANSACTION_TIMEOUT_SINCE:
        ours |= WITHOUT_TRANSACTION_TIMEOUT
    options = " ".join([*_values(parsed.query, "options"), login_options(ours)])
    return parsed.set(
        drivername="postgresql+psycopg2",
        query={**KEEPALIVES, **parsed.query, "client_encoding": "utf8", "options": options},
    ).render_as_string(hide_password=False)


def describe(url: str | URL) -> str:
    """Which database on which server, for people; without the password."""
    parsed = _parse(url) if isinstance(url, str) else url
    hosts = _values(parsed.query, "host") or ([parsed.host] if parsed.host else [])
    ports = _values(parsed.query, "port") or [str(parsed.port or 5432)]
    place = ", ".join(hosts) or "the local socket"
    return f'database "{parsed.database}" at {place}, port {", ".join(ports)}'


def _parse(url: str) -> URL:
    """The parts of a URL, its query in libpq's words.

    Read as Prisma and LiveDash read it: the password ends at the last @ before the first slash.
    """
    scheme, found, rest = url.strip().partition("://")
    family = scheme.lower().partition("+")[0]
    if scheme.lower() in _ACCELERATED:
        raise ConfigurationError(
            "The database URL is Prisma Accelerate's or a local Prisma server's: give the "
            "database's own URL, which begins with postgresql://."
        )
    if not found or not family.isalpha():
        raise _unreadable()
    if family not in _SCHEMES:
        raise ConfigurationError(
            "The database URL is not PostgreSQL's: it must begin with postgresql://."
        )
    authority, path, given = _parts(rest)
    credentials, has_user, place = authority.rpartition("@")
    user, _, password = credentials.partition(":")
    database = _decoded(path)
    if "/" in database:
        raise _unreadable()
    query = dict(_pairs(given))
    if not database and "service" not in query:
        raise ConfigurationError(
            "The database URL names no database: put its name at the end, "
            "as in postgresql://user:password@host:5432/database."
        )
    if "password" in query and query.keys() & {"host", "port"}:
        # What looks like a host may be the rest of a password with an & in it.
        raise ConfigurationError(
            "The database URL has the password and the host behind the ?: put the password before "
            "the host, as in postgresql://user:password@localhost/database?host=/var/run/postgresql."
        )
    hosts, ports = _place(place, has_user=bool(has_user))
    user = _agreed("user", _decoded(user), query.pop("user", ""))
    password = _agreed("password", _decoded(password), query.pop("password", ""))
    where = _where(hosts, ports, query)
    return URL.create(
        "postgresql",
        username=user or None,
        password=password or None,
        database=database or None,
        **where,
        query=_libpq_query(query),
    )


def _unreadable() -> ConfigurationError:
    # Nothing of it is repeated: what could not be read may hold a part of the password.
    return ConfigurationError(
        "The database URL cannot be read: it must look like "
        "postgresql://user:password@host:5432/database, with special characters in the "
        "password, and behind the ?, written as %XX."
    )


def _parts(rest: str) -> tuple[str, str, str]:
    """What stands before the first slash, the path, and the query.

    An @ or # in what follows is a password's that was not written as %XX.
    """
    if any(not character.isprintable() for character in rest):
        raise _unreadable()
    end = next((at for at, character in enumerate(rest) if character in "/?#"), len(rest))
    authority, path = rest[:end], rest[end:]
    path, _, query = path.partition("?")
    if "@" in path + query or "#" in path + query or "/" in path[1:]:
        raise _unreadable()
    return authority, path[1:], query


def _place(place: str, *, has_user: bool) -> tuple[list[str], list[str]]:
    """The hosts and their ports, each of which may be empty."""
    if ":" in place and not has_user and not place.startswith("["):
        # What looks like a host and its port may be a user and a password.
        raise ConfigurationError(
            "The database URL names no user before its host and port: put it there, "
            "as in postgresql://user:password@host:5432/database."
        )
    hosts, ports = [], []
    for one in place.split(","):
        found = _HOST.fullmatch(one)
        if found is None:
            raise _unreadable()
        hosts.append(_decoded(found["address"] or found["name"]))
        ports.append(found["port"] or "")
    return hosts, ports


def _where(hosts: list[str], ports: list[str], query: dict[str, str]) -> dict[str, Any]:
    """Host and port for SQLAlchemy; a socket's directory and several hosts stay in the query."""
    named = query.pop("host", "")
    if named:
        hosts = named.split(",")
    if "port" in query:
        ports = query.pop("port").split(",")
    if any(not (not port or (port.isdecimal() and int(port) <= _LAST_PORT)) for port in ports):
        raise _unreadable()
    if len(hosts) == 1 and not hosts[0].startswith("/"):
        return {"host": hosts[0] or None, "port": int(ports[0]) if ports[0] else None}
    query["host"] = ",".join(hosts)
    if any(ports):
        query["port"] = ",".join(ports)
    if len(hosts) > 1:
        # A standby takes no writes.
        query.setdefault("target_session_attrs", "primary")
    return {}


def _pairs(query: str) -> Iterator[tuple[str, str]]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, errors="strict")
    except ValueError:
        raise _unreadable() from None
    for name, value in pairs:
        if "\0" in value:
            raise _unreadable()
        yield name, value


def _decoded(text: str) -> str:
    try:
        decoded = unquote(text, errors="strict")
    except ValueError:
        raise _unreadable() from None
    if "\0" in decoded:
        raise _unreadable()
    return decoded


def _agreed(what: str, before_host: str, in_query: str) -> str:
    if before_host and in_query and before_host != in_query:
        raise ConfigurationError(
            f"The database URL has two of {what}, before the host and as {what}=: leave one out."
        )
    return before_host or in_query


def _libpq_query(query: dict[str, str]) -> dict[str, str]:
    """What libpq takes of it. Other parameters are left out, as Prisma does."""
    _refuse_other_schema(query)
    kept = {name: value for name, value in query.items() if name in LIBPQ_PARAMETERS}
    if not _WHOLE.fullmatch(kept.get("connect_timeout", "0")):
        raise ConfigurationError(
            "The database URL has a connect_timeout= that is no whole number of seconds: correct "
            "it, or leave it out."
        )
    settle_encryption(kept, query)
    return kept


def _refuse_other_schema(query: Mapping[str, str]) -> None:
    if query.get("schema", LIVEDASH_SCHEMA) != LIVEDASH_SCHEMA:
        raise ConfigurationError(
            "The database URL has a schema= of another name, but this project works on "
            f'LiveDash\'s tables in the schema "{LIVEDASH_SCHEMA}": leave schema= out, and '
            "give the URL of a database that has them there."
        )


def _values(query: Mapping[str, tuple[str, ...] | str], key: str) -> list[str]:
    value = query.get(key, ())
    return [value] if isinstance(value, str) else list(value)
