"""HTTP statuses and the server's error codes, and what kind of failure each one means.

The list of codes is open: one that is not here is judged by its HTTP status. Whatever is taken
from the server has to look like a name; anything else could be a piece of a conversation or a key.
"""

import re
from collections.abc import Mapping, Set
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from http import HTTPStatus
from typing import Final

from batch_assets.domain.errors import Failure, FailureKind
from batch_assets.domain.records import BatchErrorLine

NOT_FOUND = "not_found"
"""The API itself says that there is no such thing, at least under this key."""
NOT_THE_API = "not_the_api"
"""A 404 that does not look like one of the API's: a gateway's, or the address is wrong."""
GONE = "gone"
FILE_REFUSED = "file_refused"
OF_ONE_FILE = frozenset({GONE, FILE_REFUSED})
"""A download was refused for its file; the second may be the account's, all the same."""
UNSUPPORTED = "unsupported"
ENDLESS = "endless_listing"
TRUNCATED = "truncated_download"
TIMEOUT = "timeout"
UNREADABLE = "unreadable_answer"
NOT_KEPT = "not_kept"
TOKEN_LIMIT = "token_limit_exceeded"  # noqa: S105
"""Too many tokens of the model are enqueued."""
NO_RESOURCE = "resource_unavailable"
"""There is no room for flex now: nothing is charged, and the same may be asked for later."""
TIER_REFUSED = "tier_refused"
"""The model is not offered by flex, or not by this server."""
UPLOAD_TOO_LARGE = "upload_too_large"
INCORRECT_HOSTNAME = "incorrect_hostname"
PARAMETER_REFUSED = "parameter_refused"
FILE_FAILED = "file_failed"
INPUT_FILE_NOT_FOUND = "input_file_not_found"
"""Of a batch that was refused: servers call it `invalid_request`, with the parameter `file_id`."""

_CODE = re.compile(r"[a-z][a-z0-9_.-]{0,63}")
_CAMEL_CODE = re.compile(r"(?=.{2,64}$)[A-Za-z][a-z]+(?:[A-Z][a-z]+)*")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")
_PARAMETER = re.compile(r"[A-Za-z_][A-Za-z0-9_.\[\]-]{0,99}")
_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")

_SPAN = re.compile(
    r"\bper[ -]?(s|m|h|d)(?:ec(?:ond)?|in(?:ute)?|our|ay)?\b"
    r"|/ ?(s|m|h|d)(?:ec(?:ond)?|in(?:ute)?|our|ay)?\b"
    r"|\b[rt]p([smhd])\b",
    re.IGNORECASE,
)
"""What a message of a rate limit says of its time: `per minute`, `request/min`, `RPM`."""
HOUR: Final = "hour"
_SPANS: Final = {"s": "second", "m": "minute", "h": HOUR, "d": "day"}

_OF_A_RATE: Final = frozenset(
    {
        "http_429",
        "rate_limit_error",
        "rate_limit_exceeded",
        "rate_limited",
        "requests",
        "too_many_requests",
    }
)
"""What says no more than that there were too many calls."""

_NEVER_RAN = {
    "batch_expired": "The batch expired before this request ran.",
    "batch_cancelled": "The batch was cancelled before this request ran.",
}

_BY_NAME: tuple[tuple[FailureKind, frozenset[str]], ...] = (
    (
        FailureKind.ACCOUNT,
        frozenset(
            {
                "account_deactivated",
                "billing_hard_limit_reached",
                "billing_not_active",
                INCORRECT_HOSTNAME,
                "insufficient_quota",
                "invalid_api_key",
            }
        ),
    ),
    (
        FailureKind.CAPACITY,
        frozenset({NO_RESOURCE, "rate_limit_error", "rate_limit_exceeded", TOKEN_LIMIT}),
    ),
    (
        FailureKind.TRANSIENT,
        frozenset({"internal_server_error", "request_timeout", "server_error", "timeout"}),
    ),
)

_OF_A_SERVER_THAT_FAILED = frozenset({"internal_server_error", "server_error"})

_OF_EVERY_REQUEST = frozenset({"model_mismatch", "model_not_found", "url_mismatch"})
"""Said of a whole batch, of which all requests have the same model and the same address."""

_OF_THE_SERVER = frozenset(
    {
        "batch_failed",
        "empty_batch",
        "empty_file",
        INPUT_FILE_NOT_FOUND,
        "internal_error",
        "resource_not_found",
        "runner_lost",
        "service_unavailable",
    }
)
"""The server, or the file on its way there, has failed: a line that is named is not wrong."""

_FILE_PARAMETERS = frozenset({"file_id", "input_file_id"})

OF_THE_QUOTA = frozenset({"billing_hard_limit_reached", "billing_not_active", "insufficient_quota"})
"""The account can pay for nothing now, whatever it is asked for."""

MODEL_NOT_FOUND = "model_not_found"

_PERMANENT_NAMES = frozenset(
    {
        "content_filter",
        "content_policy_violation",
        "context_length_exceeded",
        "invalid_request",
        "invalid_request_error",
        "invalid_value",
        "model_not_found",
        "unsupported_parameter",
        "unsupported_value",
    }
)
"""Asked last: OpenAI also puts `invalid_request_error` on answers whose status says otherwise."""

_BY_STATUS: dict[int, FailureKind] = {
    HTTPStatus.UNAUTHORIZED: FailureKind.ACCOUNT,
    HTTPStatus.PAYMENT_REQUIRED: FailureKind.ACCOUNT,
    HTTPStatus.REQUEST_TIMEOUT: FailureKind.TRANSIENT,
    HTTPStatus.CONFLICT: FailureKind.TRANSIENT,
    HTTPStatus.TOO_EARLY: FailureKind.TRANSIENT,
    HTTPStatus.TOO_MANY_REQUESTS: FailureKind.CAPACITY,
}

_ROW_SENTENCES = {
    FailureKind.TRANSIENT: "The server failed on this request",
    FailureKind.CAPACITY: "The server had no room for this request",
    FailureKind.PERMANENT: "The server refused this request",
    FailureKind.ACCOUNT: "The server refused the account",
}


@dataclass(frozen=True, slots=True)
class ErrorDetails:
    """The parts of an error object that may be repeated: names only, never its message."""

    code: str | None = None
    type: str | None = None
    param: str | None = None
    span: str | None = None
    """The time that a rate limit is of, as far as the message says it: `minute`, say."""

    @property
    def name(self) -> str | None:
        """The code, or the type where there is no code."""
        return self.code or self.type


def details(error: object) -> ErrorDetails | None:
    """Read the names in an error object; `None` if there is no error in it.

    Some servers send `{}`, `""` or an object of nulls where nothing went wrong.
    """
    if isinstance(error, Mapping):
        if not any(error.get(key) for key in ("code", "type", "message")):
            return None
        return ErrorDetails(
            code=identifier(error.get("code")),
            type=identifier(error.get("type")),
            param=_plain(_PARAMETER, error.get("param")),
            span=_span(error),
        )
    return ErrorDetails() if error else None


def identifier(value: object) -> str | None:
    """Take `value` if it looks like an error code; one in camel case as all others spell it."""
    return _spelled(value) if isinstance(value, str) else None


@lru_cache(maxsize=1_000)
def _spelled(code: str) -> str | None:
    camel = _plain(_CAMEL_CODE, code)
    return _plain(_CODE, code) if camel is None else _HUMP.sub("_", camel).lower()


def request_id(value: object) -> str | None:
    """Take `value` if it looks like the id that the server gives each call."""
    return _plain(_REQUEST_ID, value)


def kind_of(status: int | None, error: ErrorDetails) -> FailureKind:
    """Judge an error; `status` is `None` where the server gave none, 0 where it had none."""
    names = {error.code, error.type}
    if status is not None and 400 <= status < 500 and error.code is None:
        # A gateway says its own error of what the server behind it has refused: its status counts.
        names -= _OF_A_SERVER_THAT_FAILED
    kind = _kind_named(names)
    if kind is not None:
        return kind
    if status is not None and status in _BY_STATUS:
        return _BY_STATUS[status]
    refused = bool(names & _PERMANENT_NAMES) if status is None else 400 <= status < 500
    return FailureKind.PERMANENT if refused else FailureKind.TRANSIENT


def _kind_named(names: Set[str | None]) -> FailureKind | None:
    return next((kind for kind, known in _BY_NAME if names & known), None)


class Refusal(StrEnum):
    """What it means for the requests of a batch that the server refused all of it."""

    NO_ROOM = "no_room"
    """Nothing is wrong with them: the model is put into cooldown."""
    ACCOUNT = "account"
    """Nothing is wrong with them: the account is put into cooldown."""
    EVERY_REQUEST = "every_request"
    """Each of them would be refused."""
    LINE = "line"
    """Some of them are wrong: those whose lines are named."""
    UNEXPLAINED = "unexplained"
    """The server has failed, or one of them is wrong, and nothing says which."""


def refusal(error: BatchErrorLine) -> Refusal:
    """Judge one validation error of a batch."""
    kind = _kind_named({error.code})
    if kind is FailureKind.CAPACITY:
        return Refusal.NO_ROOM
    if kind is FailureKind.ACCOUNT:
        return Refusal.ACCOUNT
    if error.code in _OF_EVERY_REQUEST:
        return Refusal.EVERY_REQUEST
    if error.line is None or is_of_the_server(error):
        return Refusal.UNEXPLAINED
    return Refusal.LINE


def is_of_the_server(error: BatchErrorLine) -> bool:
    """Whether a validation error says itself that the server, or the file's way to it, failed."""
    return error.code in _OF_THE_SERVER or _kind_named({error.code}) is FailureKind.TRANSIENT


def validation_code(error: Mapping[str, object]) -> str:
    """Read the code of an entry of a refused batch's errors."""
    code = identifier(error.get("code")) or "unknown_error"
    if code == "invalid_request" and error.get("param") in _FILE_PARAMETERS:
        return INPUT_FILE_NOT_FOUND
    return code


def row_failure(status: int | None, error: ErrorDetails) -> Failure:
    """Make the failure of one request of a batch."""
    if error.name in _NEVER_RAN:
        return Failure(FailureKind.TRANSIENT, error.name, _NEVER_RAN[error.name])
    kind = kind_of(status, error)
    code = error.name or (f"http_{status}" if status else "unknown_error")
    return Failure(kind, code, f"{_ROW_SENTENCES[kind]} ({describe(status, error)}).")


def never_ran(error: ErrorDetails) -> bool:
    """Whether its batch ended without this request: nothing was tried, nothing is paid."""
    return error.name in _NEVER_RAN


def describe(status: int | None, error: ErrorDetails, call_id: str | None = None) -> str:
    """Describe an error in names and numbers: `HTTP 400, code …, parameter …`."""
    parts = (
        f"HTTP {status}" if status else "no HTTP status",
        f"code {error.name}" if error.name else "",
        f"parameter {error.param}" if error.param else "",
        f"request id {call_id}" if call_id else "",
    )
    return ", ".join(part for part in parts if part)


def may_be_of_the_hour(failure: Failure) -> bool:
    """Whether a creation that found no room may have met the limit of batches an hour.

    Not where the server says another time, or another thing than that there were too many calls.
    """
    return failure.code in _OF_A_RATE and failure.rate_span in {None, HOUR}


def _span(error: Mapping[str, object]) -> str | None:
    """The time that a rate limit is of: one of four words, whatever else its message says."""
    found = _SPAN.search(str(error.get("message") or ""))
    if found is not None:
        return _SPANS[next(filter(None, found.groups())).lower()]
    # There is no other limit of tokens in a time.
    return "minute" if error.get("type") == "tokens" else None


def _plain(pattern: re.Pattern[str], value: object) -> str | None:
    if isinstance(value, str) and pattern.fullmatch(value) and not value.startswith("sk-"):
        return value
    return None
