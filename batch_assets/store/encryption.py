"""What a database URL says of TLS, in the words of Prisma, node-postgres and libpq: in libpq's own.

Nothing of it is guessed or left out: it is understood, or refused by name.
"""

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
