"""JSON as the standard has it: UTF-8 without a byte order mark, no NaN, no lone surrogates."""

import json
from typing import Any, NoReturn


class NotJsonError(ValueError):
    """The bytes are not JSON; the message never holds any of them."""


def parse(document: bytes) -> Any:
    """Decode a JSON document.

    Raises:
        NotJsonError: it is none.
    """
    try:
        value = _DECODER.decode(document.decode("utf-8"))
        if b"\\ud" in document or b"\\uD" in document:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError):
        raise NotJsonError("not valid JSON") from None
    return value


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse)
