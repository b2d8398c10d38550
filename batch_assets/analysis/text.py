"""What is done to a text from a model before it is stored."""

import re
from typing import Any

_CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f]")
"""Control characters that are no white space; PostgreSQL refuses the first of them, NUL."""

ELLIPSIS = "…"


def cleaned(text: str) -> str:
    """The text on one line, without control characters, and such that UTF-8 can hold it.

    Half of a surrogate pair becomes U+FFFD; a run of white space becomes one space.
    """
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return " ".join(_CONTROLS.sub("", whole).split())


def shortened(text: str, limit: int) -> str:
    """At most `limit` characters with "…" at the end, cut between words where that loses little.

    Some languages put no spaces between words: there the cut falls anywhere.
    """
    if len(text) <= limit:
        return text
    room = limit - len(ELLIPSIS)
    words = text[: room + 1].rpartition(" ")[0]
    return (words if len(words) >= room // 2 else text[:room]) + ELLIPSIS


def cleaned_value(value: Any) -> Any:
    """A text cleaned, any other JSON value as it is: for the validator that refuses it."""
    return cleaned(value) if isinstance(value, str) else value
