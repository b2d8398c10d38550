"""What a connection is like: its encryption, as a URL says it, and its settings, fixed at login.

What a URL says of TLS, in the words of Prisma, node-postgres and libpq, is put into libpq's own.
Nothing of it is guessed or left out: it is understood, or refused by name.

The settings are what the drivers and our statements take for granted of a session. A role's, a
database's or a server's own would decide it otherwise: a role with the DateStyle `SQL, DMY` has
dates that the driver cannot read, one whose commits are not durable loses the record of what was
bought.
"""

import os
import ssl
from collections.abc import Mapping
from typing import Final

from batch_assets.domain.errors import ConfigurationError

_VERIFYING: Final = frozenset({"verify-ca", "verify-full"})
_MODES: Final = {mode: mode for mode in ("disable", "allow", "prefer", "require")} | {
    "no-verify": "require",
    **{mode: mode for mode in sorted(_VERIFYING)},
}
_SSL: Final = {
    "true": "require",
    "1": "require",
    "no-verify": "require",
    "false": "disable",
    "0": "disable",
}
"""node-postgres' `ssl=` in libpq's words; dropped, it would mean no TLS."""
SESSION: Final[Mapping[str, str]] = {
    "DateStyle": "ISO",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "standard_conforming_strings": "on",
    "array_nulls": "on",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
    "default_transaction_deferrable": "off",
    # What a policy hides would be missed by nobody: it is an error instead.
    "row_security": "off",
    # A call is made once its intent is committed, which a crash of the server must not undo.
    "synchronous_commit": "on",
    # Every name of ours says its schema: what stands in a search path is a stranger's.
    "search_path": "pg_catalog",
}
"""What counts for every session of the application's and the migrations'."""

WITHOUT_LIMITS: Final[Mapping[str, str]] = {
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
}
"""For whoever sets limits of its own, or needs none."""

TRANSACTION_TIMEOUT_SINCE: Final = 170_000
WITHOUT_TRANSACTION_TIMEOUT: Final[Mapping[str, str]] = {"transaction_timeout": "0"}
"""Likewise, for servers of that version or a later one: an older one lets nobody in with it."""

SERVER_KEEPALIVES: Final[Mapping[str, str]] = {
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}
"""By which the server notices within a minute that our host has vanished, and frees its locks."""

KEEPALIVES: Final[Mapping[str, str]] = {
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",
}
"""Likewise, in libpq's parameters: by which we notice that the server's host has vanished."""

_ENVIRONMENT: Final[Mapping[str, str]] = {"PGDATESTYLE": "ISO", "PGTZ": "UTC"}


def settle_encryption(kept: dict[str, str], query: Mapping[str, str]) -> None:
    """Put what `query` says of TLS into `kept`, which has libpq's parameters.

    Raises:
        ConfigurationError: libpq cannot be told what it says.
    """
    for name in ("sslidentity", "sslpassword"):
        if query.get(name):
            raise ConfigurationError(
                f"The database URL has {name}, which libpq cannot use: write certificate and key "
                "into files without a passphrase (openssl pkcs12 -nodes), and give them as "
                "sslcert= and sslkey=."
            )
    for name in [name for name, value in kept.items() if name.startswith("ssl") and not value]:
        del kept[name]
    mode = _known("sslmode", query, _MODES) or _known("ssl", query, _SSL)
    if mode is not None:
        kept["sslmode"] = mode
    _take_authority(kept, query.get("sslaccept"))


def _known(name: str, query: Mapping[str, str], words: Mapping[str, str]) -> str | None:
    given = query.get(name)
    if not given:
        return None
    if given not in words:
        raise ConfigurationError(
            f"The database URL has an {name}= that is none of {', '.join(words)}: correct it."
        )
    return words[given]


def _take_authority(kept: dict[str, str], accept: str | None) -> None:
    """Prisma's `sslcert` is the certificate of the server's authority, libpq's the client's own.

    It is the client's where a key or another authority is given, too. An `sslaccept` that Prisma
    does not know is `strict` to it.
    """
    is_lax = accept == "accept_invalid_certs"
    if "sslcert" in kept and not {"sslkey", "sslrootcert"} & kept.keys():
        path = kept.pop("sslcert")
        if not path.startswith("/"):
            raise ConfigurationError(
                "The database URL has an sslcert= that is a relative path, which Prisma reads from "
                "the folder of its schema: give the whole path."
            )
        if not is_lax:
            kept["sslrootcert"] = path
    if kept.get("sslmode") == "disable":
        return
    if accept and not is_lax:
        kept["sslmode"] = "verify-full"
        kept.setdefault("sslrootcert", "system")
    elif "sslrootcert" in kept and kept.get("sslmode") not in _VERIFYING:
        kept["sslmode"] = "verify-ca"
    if kept.get("sslrootcert") == "system":
        kept.update(sslmode="verify-full", sslrootcert=_trusted_here())


def _trusted_here() -> str:
    """The file of the authorities that this machine trusts, SSL_CERT_FILE before others.

    The libpq of the drivers' wheels looks where those were built, and would find none.
    """
    return ssl.get_default_verify_paths().cafile or "system"


def login_options(settings: Mapping[str, str]) -> str:
    """The settings as libpq's parameter `options`; of two with one name the last one holds."""
    return " ".join(f"-c {name}={_escaped(value)}" for name, value in settings.items())


def settle_libpq() -> None:
    """Let libpq's own variables say the same.

    They go before `options`, and they are all that a pooler takes that refuses those.
    """
    os.environ.update(_ENVIRONMENT)


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace(" ", r"\ ")
