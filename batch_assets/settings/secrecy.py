"""What of the settings may be a secret, wherever it was put: no sentence and no table shows it."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final
from urllib.parse import unquote

_LONGEST_QUOTED: Final = 40
_SHORTEST_SECRET: Final = 4
"""What is shorter is in many a word by chance."""
_PREFIX: Final = re.compile(r"\b(sk|gsk|rk|pk)[-_]", re.ASCII)
_KEY: Final = re.compile("[A-Za-z0-9_-]{16,}", re.ASCII)
_LONG_KEY: Final = re.compile("[A-Za-z0-9_]{20,}", re.ASCII)
"""What keys look like: their prefixes, or a long run of letters and digits. Names of models and
hosts have hyphens in between."""
_LED_TO: Final = re.compile("@|://[^/]*/.")
"""What is before a host, or behind one, may be what lets somebody in."""
_LETS_IN: Final = re.compile(
    r"://\S*@|[?&][^=&]*(pass|pwd|secret|sig|token|key|auth|code)[^=&]*=", re.IGNORECASE
)
"""What lets somebody in for certain: a user before a host, or a parameter of such a name."""


def secrets_in(texts: Iterable[str]) -> Sequence[str]:
    """The values of secret settings, and the passwords in them."""
    whole = list(texts)
    passwords = [password for text in whole for password in _passwords(text)]
    return [*whole, *passwords, *map(unquote, passwords)]


def quotable(value: str, secrets: Sequence[str]) -> str | None:
    """A value that is wrong, unless it may be a secret that was put into a wrong place."""
    if len(value) > _LONGEST_QUOTED or _LED_TO.search(value) or _looks_like_a_key(value, _KEY):
        return None
    return None if any(secret in value for secret in secrets) else value


def may_be_secret(value: str, secrets: Sequence[str]) -> bool:
    """Whether a value that is right, of a setting that is no secret, may hold one all the same."""
    return (
        bool(_LETS_IN.search(value))
        or _looks_like_a_key(value, _LONG_KEY)
        or value in secrets
        or any(secret in value for secret in secrets if len(secret) >= _SHORTEST_SECRET)
    )


def _looks_like_a_key(value: str, runs: re.Pattern[str]) -> bool:
    return bool(_PREFIX.search(value)) or any(
        re.search(r"\d", found) and re.search("[A-Za-z]", found) for found in runs.findall(value)
    )


def _passwords(url: str) -> Iterator[str]:
    """What may be a password in a URL, however malformed."""
    for separator in ("/", "://"):
        credentials, _, _ = url.partition("://")[2].rpartition("@")
        yield from filter(None, [credentials.partition(":")[2].partition(separator)[0]])
    yield from re.findall(r"[?&]password=([^&#]+)", url)
