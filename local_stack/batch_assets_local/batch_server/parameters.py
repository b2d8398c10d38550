"""Checks of the parameters of files and batches, with OpenAI's messages."""

from collections.abc import Mapping
from typing import Any

from starlette.datastructures import QueryParams
from starlette.requests import Request

from batch_assets_local.batch_server import strict_json
from batch_assets_local.batch_server.api_errors import (
    bad_request,
    invalid_type,
    invalid_value,
    missing_parameter,
    out_of_range,
)

_SHORTEST_LIFE = 3600
_LONGEST_LIFE = 30 * 24 * 3600


async def json_body(request: Request) -> Any:
    """The request's body as JSON.

    Raises:
        ApiError: it is none: 400.
    """
    try:
        return strict_json.parse(await request.body())
    except strict_json.NotJsonError:
        raise bad_request(
            "We could not parse the JSON body of your request. The OpenAI API expects a JSON "
            "payload, but what was sent was not valid JSON."
        ) from None


def json_object(body: Any, known: frozenset[str]) -> dict[str, Any]:
    """A body that is an object and has no other keys than the known ones.

    Raises:
        ApiError: it is not.
    """
    if not isinstance(body, dict):
        raise bad_request("The JSON body of your request must be an object.")
    unknown = next((name for name in body if name not in known), None)
    if unknown is not None:
        message = f"Unknown parameter: '{unknown[:64]}'."
        raise bad_request(message, param=unknown[:64], code="unknown_parameter")
    return body


def one_of(body: Mapping[str, Any], name: str, supported: tuple[str, ...]) -> str:
    """A required string that must be one of a list.

    Raises:
        ApiError: it is missing, or not in the list.
    """
    value = required_string(body, name)
    if value not in supported:
        raise invalid_value(name, value, supported)
    return value


def required_string(body: Mapping[str, Any], name: str) -> str:
    """A required string.

    Raises:
        ApiError: it is missing or no string.
    """
    value = body.get(name)
    if value is None:
        raise missing_parameter(name)
    if not isinstance(value, str):
        raise invalid_type(name, "a string", value)
    return value


def metadata(value: Any) -> dict[str, str] | None:
    """Metadata within OpenAI's limits: 16 keys of 64 characters, strings of 512.

    Raises:
        ApiError: they are not within them.
    """
    if value is None:
        return None
    if not isinstance(value, dict):
        raise invalid_type("metadata", "an object", value)
    if len(value) > 16:
        message = (
            "Invalid 'metadata': too many properties. Expected an object with at most 16 "
            f"properties, but got an object with {len(value)} properties instead."
        )
        raise bad_request(message, param="metadata", code="object_above_max_properties")
    for key, text in value.items():
        _check_pair(key, text)
    return value


def _check_pair(key: str, text: Any) -> None:
    place = f"metadata.{key[:64]}"
    if len(key) > 64:
        message = (
            "Invalid 'metadata': property name too long. Expected a name with maximum length 64, "
            f"but got one with length {len(key)} instead."
        )
        raise bad_request(message, param="metadata", code="property_name_above_max_length")
    if not isinstance(text, str):
        raise invalid_type(place, "a string", text)
    if len(text) > 512:
        message = (
            f"Invalid '{place}': string too long. Expected a string with maximum length 512, "
            f"but got a string with length {len(text)} instead."
        )
        raise bad_request(message, param=place, code="string_above_max_length")


def lifetime(value: Any, name: str) -> int | None:
    """The seconds of `{anchor: "created_at", seconds: n}`, between an hour and thirty days.

    Raises:
        ApiError: they are not given so.
    """
    if value is None:
        return None
    if not isinstance(value, dict):
        raise invalid_type(name, "an object", value)
    one_of(value, "anchor", ("created_at",))
    seconds = value.get("seconds")
    if seconds is None:
        raise missing_parameter(f"{name}.seconds")
    if isinstance(seconds, bool) or not isinstance(seconds, int):
        raise invalid_type(f"{name}.seconds", "an integer", seconds)
    if not _SHORTEST_LIFE <= seconds <= _LONGEST_LIFE:
        raise out_of_range(f"{name}.seconds", seconds, _SHORTEST_LIFE, _LONGEST_LIFE)
    return seconds


def limit(query: QueryParams, *, default: int, most: int) -> int:
    """The page size of a list.

    Raises:
        ApiError: it is no number, or out of range.
    """
    text = query.get("limit")
    if text is None:
        return default
    if not text.isascii() or not text.lstrip("-").isdigit():
        raise invalid_type("limit", "an integer", text)
    number = int(text)
    if not 1 <= number <= most:
        raise out_of_range("limit", number, 1, most)
    return number
