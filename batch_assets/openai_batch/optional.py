"""Parameters of a creation that a server may not take: known by the refusal, left out from then on.

A call that is refused for a parameter has made nothing and bought nothing.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

EXPIRY: Final = "output_expires_after"
METADATA: Final = "metadata"
OPTIONAL: Final = frozenset({EXPIRY, METADATA})

_QUOTES = "[\"'`]"


def refused_parameters(text: str, sent: Iterable[str]) -> frozenset[str]:
    """Which of these parameters, which were sent, the body of a 400 or 422 names as wrong.

    It does where the error has it as its `param`, or the framework's list of errors as the place,
    or where a message quotes it. That a request is repeated somewhere in the body says nothing.
    """
    try:
        said = list(_said(json.loads(text)))
    except (ValueError, RecursionError):
        return frozenset()
    return frozenset(name for name in sent if any(_names(one, name) for one in said))


def _said(body: object) -> Iterator[str]:
    """Messages, parameters and places in an error, in the shapes that servers give it."""
    if isinstance(body, str):
        yield body
    elif isinstance(body, list):
        for one in body:
            yield from _said(one)
    elif isinstance(body, Mapping):
        yield from _quoted(body.get("param"))
        yield from _quoted(*_places(body.get("loc")))
        for key in ("error", "detail", "message", "msg"):
            yield from _said(body.get(key))


def _quoted(*names: object) -> Iterator[str]:
    """A name that is one by its place, in the way in which a message has it."""
    return (f"'{name}'" for name in names if isinstance(name, str))


def _places(found: object) -> list[object]:
    return found if isinstance(found, list) else []


def _names(said: str, name: str) -> bool:
    """Whether a name is quoted; one of several words is none of prose, and needs no quotes."""
    quoted = rf"{_QUOTES}{name}(?:[.\[][^\"'`]*)?{_QUOTES}"
    plain = rf"(?<!\w){name}(?!\w)"
    return re.search(f"{quoted}|{plain}" if "_" in name else quoted, said) is not None
