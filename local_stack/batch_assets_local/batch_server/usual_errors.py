"""The error that a status usually comes with, for faults that name little more than the status."""

from batch_assets_local.batch_server.api_errors import ApiError
from batch_assets_local.batch_server.fault_rules import ErrorBody

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
