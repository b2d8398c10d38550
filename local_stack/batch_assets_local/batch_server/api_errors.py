"""Refusals in OpenAI's shape: an HTTP status and `{"error": {message, type, param, code}}`.

Messages follow OpenAI's own wording. None of them repeats a key or the text of a message. A fault
that names little more than a status gets the error that usually comes with it.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from batch_assets_local.batch_server.fault_rules import ErrorBody


class ApiError(Exception):
    """One refusal, as the wire shows it."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.kind = kind
        self.param = param
        self.code = code
        self.headers = dict(headers or {})

    def body(self) -> dict[str, Any]:
        """The JSON body of the answer."""
        error = {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}
        return {"error": error}


def bad_request(message: str, *, param: str | None = None, code: str | None = None) -> ApiError:
    """A 400 with OpenAI's usual type."""
    return ApiError(400, message, param=param, code=code)


def missing_parameter(name: str) -> ApiError:
    """A required parameter is not there."""
    return bad_request(
        f"Missing required parameter: '{name}'.", param=name, code="missing_required_parameter"
    )


def invalid_type(name: str, expected: str, value: object) -> ApiError:
    """A parameter has another JSON type than it must have; the value itself is not shown."""
    message = f"Invalid type for '{name}': expected {expected}, but got {json_type(value)} instead."
    return bad_request(message, param=name, code="invalid_type")


def invalid_value(name: str, value: str, supported: Iterable[str]) -> ApiError:
    """A parameter that is one of a list has another value."""
    choices = ", ".join(f"'{choice}'" for choice in supported)
    message = f"Invalid value: '{value[:64]}'. Supported values are: {choices}."
    return bad_request(message, param=name, code="invalid_value")


def out_of_range(name: str, value: float, low: float, high: float) -> ApiError:
    """A number lies outside its bounds; the code says on which side, and of which kind it is."""
    kind = "integer" if isinstance(value, int) and isinstance(low, int) else "decimal"
    side, sign, bound = ("below_min", ">=", low) if value < low else ("above_max", "<=", high)
    words = "below minimum" if value < low else "above maximum"
    message = (
        f"Invalid '{name}': {kind} {words} value. "
        f"Expected a value {sign} {bound}, but got {value} instead."
    )
    return bad_request(message, param=name, code=f"{kind}_{side}_value")


def not_found(message: str, *, param: str | None = "id", code: str | None = None) -> ApiError:
    """A 404 for an object that is not there."""
    return ApiError(404, message, param=param, code=code)


def server_error() -> ApiError:
    """A 500 that says no more than OpenAI's does."""
    message = "The server had an error while processing your request. Sorry about that!"
    return ApiError(500, message, kind="server_error")


def json_type(value: object) -> str:
    """The JSON type of a value, with its article, as OpenAI's messages name it."""
    names: list[tuple[type | tuple[type, ...], str]] = [
        (bool, "a boolean"),
        (int, "an integer"),
        (float, "a decimal number"),
        (str, "a string"),
        (list, "an array"),
        (dict, "an object"),
    ]
    return next((name for kind, name in names if isinstance(value, kind)), "null")


_RATE_HEADERS = {
    "retry-after": "1",
    "x-ratelimit-limit-requests": "500",
    "x-ratelimit-remaining-requests": "0",
    "x-ratelimit-reset-requests": "1s",
}
_USUAL = {
    400: ErrorBody(message="The request is not valid.", type="invalid_request_error"),
    401: ErrorBody(
        message="Incorrect API key provided.", type="invalid_request_error", code="invalid_api_key"
    ),
    403: ErrorBody(
        message="You have insufficient permissions for this operation.",
        type="invalid_request_error",
    ),
    404: ErrorBody(message="Not found.", type="invalid_request_error"),
    408: ErrorBody(message="The request timed out.", type="timeout"),
    409: ErrorBody(message="The request conflicts with another.", type="invalid_request_error"),
    429: ErrorBody(
        message="Rate limit reached for requests. Please try again in 1s.",
        type="requests",
        code="rate_limit_exceeded",
    ),
    500: ErrorBody(
        message="The server had an error while processing your request. Sorry about that!",
        type="server_error",
    ),
    503: ErrorBody(
        message="The engine is currently overloaded, please try again later.", type="server_error"
    ),
}


def error_for_status(status: int, wanted: ErrorBody) -> ApiError:
    """The refusal with this status: what is wanted of it, the rest as OpenAI usually has it."""
    usual = _USUAL.get(status, _USUAL[500 if status >= 500 else 400])
    return ApiError(
        status,
        wanted.message or usual.message or "",
        kind=wanted.type or usual.type or "",
        param=wanted.param,
        code=wanted.code or usual.code,
        headers=_RATE_HEADERS if status == 429 else None,
    )
