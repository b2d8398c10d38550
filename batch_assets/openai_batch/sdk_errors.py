"""What an exception of the SDK means for the work that met it. (Imports the SDK: most of a second.)

Calls that create, and synchronous requests, are judged apart: whoever repeats one that acted pays
twice. So such a call that may have reached the server, and got no clear refusal, is INDETERMINATE.
Reasons are sentences of ours: the server's message may quote a conversation or the key, and is
dropped.
"""

import math
import ssl
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import mktime_tz, parsedate_tz
from functools import lru_cache

import httpx2
import openai

from batch_assets.domain.breakers import ANSWER_TOO_LARGE, MALFORMED, STAGE_IS_OVER
from batch_assets.domain.errors import ApiError, Failure, FailureKind
from batch_assets.domain.hosts import run_out
from batch_assets.openai_batch import error_codes
from batch_assets.openai_batch.limits import AnswerTooLargeError
from batch_assets.openai_batch.objects import MalformedAnswerError
from batch_assets.openai_batch.operations import CREATING, SYNCHRONOUS, Operation

API_ERRORS: tuple[type[Exception], ...] = (
    openai.OpenAIError,
    httpx2.HTTPError,
    httpx2.InvalidURL,
    OSError,
    ValueError,
    AnswerTooLargeError,
)
"""Everything that a call can fail with: the SDK lets errors of transport and of JSON through."""

_UNSUPPORTED = frozenset({405, 501})
"""The server has no such call."""
_GONE = frozenset({410, 413, 451})
"""A file will not be given out any more, whoever asks for it."""
_MAY_HAVE_ACTED = frozenset({408, 409})

_NEVER_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
_TIMEOUTS = (httpx2.TimeoutException, openai.APITimeoutError, TimeoutError)

_LONGEST_WAIT_SECONDS = 86_400.0

_STATUS_SENTENCES = {
    FailureKind.TRANSIENT: "the server could not do this now",
    FailureKind.CAPACITY: "the server has no room for this now",
    FailureKind.PERMANENT: "the server refuses this",
    FailureKind.ACCOUNT: "the server refuses the account",
    FailureKind.INDETERMINATE: "the server failed, and may have acted before it did",
}

_CONFIGURED_WRONGLY = (
    "set OPENAI_BASE_URL to the address of the API with its path, such as https://api.openai.com/v1"
)
_CERTIFICATES = {
    9: ("certificate_not_valid_yet", "is not valid yet", "check this machine's clock"),
    10: ("certificate_expired", "has expired", "renew it on the server, or check the clock here"),
    62: ("certificate_of_another", "is another host's", "check the host in OPENAI_BASE_URL"),
    64: ("certificate_of_another", "is another host's", "check the host in OPENAI_BASE_URL"),
}
"""By OpenSSL's number of what is wrong: a code, what is wrong, and what to do."""
_NOT_TRUSTED = (
    "certificate_not_trusted",
    "is not one that this machine trusts",
    "set SSL_CERT_FILE to a file with the certificate of whoever issued it",
)
_NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST"})
"""OpenSSL's words for a handshake that is answered with something else."""
_NO_TLS_ADVICE = "check the port in OPENAI_BASE_URL, and whether it is https:// or http://"
_NAMELESS = frozenset(
    {
        Operation.UPLOAD,
        Operation.LIST_BATCHES,
        Operation.LIST_FILES,
        Operation.CHECK_ACCOUNT,
    }
)
"""Calls that ask for nothing by its id: a server that finds nothing there has no such call."""


def classify(
    error: Exception,
    operation: Operation,
    *,
    is_stage_over: bool = False,
    proxy_variable: str | None = None,
) -> ApiError:
    """Make the failure of `operation` that `error` stands for.

    `is_stage_over`: a call that took too long was cut since its stage's time is up.
    `proxy_variable` names the proxy that it went through, if it did.
    """
    if isinstance(error, openai.APIStatusError):
        return ApiError(operation, _refusal(error, operation, proxy_variable))
    return ApiError(operation, _no_answer(error, operation, is_stage_over, proxy_variable))


def is_rate_limit(error: openai.RateLimitError) -> bool:
    """Whether a 429 says that there were too many calls, and nothing of the account or a quota.

    Nor that the server has no room for calls of this tier, however few there are.
    """
    details = error_codes.details(error.body) or error_codes.ErrorDetails()
    if details.name == error_codes.NO_RESOURCE:
        return False
    return error_codes.kind_of(error.status_code, details) is FailureKind.CAPACITY


def time_is_up(operation: Operation) -> ApiError:
    """Make the failure of a call that is not made, since its stage has no time for it."""
    reason = "the time of this stage is up"
    return ApiError(operation, Failure(FailureKind.TRANSIENT, STAGE_IS_OVER, reason))


def _refusal(
    error: openai.APIStatusError, operation: Operation, proxy_variable: str | None
) -> Failure:
    status = error.status_code
    if status == 407:
        return _refused_by_proxy(proxy_variable)
    said = error_codes.details(error.body)
    details = said or error_codes.ErrorDetails()
    kind = _kind(status, details, operation)
    code = details.name or f"http_{status}"
    if status == 404 and operation not in SYNCHRONOUS:
        is_the_apis = said is not None and isinstance(error.body, Mapping)
        code = error_codes.NOT_FOUND if is_the_apis else error_codes.NOT_THE_API
        kind = kind if is_the_apis or operation in CREATING else FailureKind.TRANSIENT
    if operation is Operation.DOWNLOAD_FILE:
        code = _of_a_file(status, details) or code
        kind = FailureKind.PERMANENT if code in error_codes.OF_ONE_FILE else kind
    if status in _UNSUPPORTED and operation not in CREATING:
        kind, code = FailureKind.PERMANENT, error_codes.UNSUPPORTED
    if status == 413 and operation is Operation.UPLOAD:
        code = error_codes.UPLOAD_TOO_LARGE
    known = error_codes.describe(status, details, error_codes.request_id(error.request_id))
    sentence = "the server sends elsewhere" if status < 400 else _STATUS_SENTENCES[kind]
    wait = retry_after_seconds(error.response.headers)
    return Failure(
        kind,
        code,
        f"{sentence} ({known})",
        wait,
        _advice(status, details, operation),
        details.span if kind is FailureKind.CAPACITY else None,
    )


def _of_a_file(status: int, details: error_codes.ErrorDetails) -> str | None:
    """The code of a download that was refused for what it asked for; `None`: not so."""
    if status in _GONE:
        return error_codes.GONE
    if status in {400, 403} and error_codes.kind_of(status, details) is FailureKind.PERMANENT:
        return error_codes.FILE_REFUSED
    return None


def _advice(status: int, details: error_codes.ErrorDetails, operation: Operation) -> str:
    if details.name == error_codes.INCORRECT_HOSTNAME:
        return (
            "set OPENAI_BASE_URL to the host of the region that the key's project belongs to, "
            "such as https://eu.api.openai.com/v1"
        )
    has_no_such_call = status < 400 or (status in {404, 405} and operation in _NAMELESS)
    return _CONFIGURED_WRONGLY if has_no_such_call else ""


def _kind(status: int, details: error_codes.ErrorDetails, operation: Operation) -> FailureKind:
    if operation in CREATING and (status >= 500 or status in _MAY_HAVE_ACTED):
        return FailureKind.INDETERMINATE
    if operation in SYNCHRONOUS and _has_no_such_place(status, details):
        return FailureKind.TRANSIENT
    if status < 400:
        return FailureKind.PERMANENT
    kind = error_codes.kind_of(status, details)
    # A forbidden call is a matter of the key; a forbidden row of a batch is one of that row.
    return FailureKind.ACCOUNT if status == 403 and kind is FailureKind.PERMANENT else kind


def _has_no_such_place(status: int, details: error_codes.ErrorDetails) -> bool:
    """Whether the server says where it was asked, and nothing of what: that is no row's fault."""
    return status < 400 or (status in {404, 405} and details.code is None)


def _no_answer(
    error: Exception, operation: Operation, is_stage_over: bool, proxy_variable: str | None
) -> Failure:
    cause = error.__cause__ if isinstance(error, openai.APIConnectionError) else error
    if isinstance(cause, httpx2.ProxyError):
        return _refused_by_proxy(proxy_variable)
    wrong_tls = _wrong_tls(cause, proxy_variable)
    if wrong_tls is not None:
        return wrong_tls
    if isinstance(cause, _NEVER_SENT):
        own = run_out(error)
        if own is not None:
            advice = own[0].lower() + own[1:].rstrip(".")
            return Failure(
                FailureKind.TRANSIENT, "host_at_its_end", "nothing was sent", advice=advice
            )
        return _never_sent(cause, proxy_variable)
    code, sentence = _what_happened(error, cause, operation, is_stage_over)
    if operation in CREATING:
        sentence += ", and the server may have acted"
        return Failure(FailureKind.INDETERMINATE, code, sentence)
    advice = _CONFIGURED_WRONGLY if code == error_codes.UNREADABLE else ""
    return Failure(FailureKind.TRANSIENT, code, sentence, advice=advice)


def _refused_by_proxy(proxy_variable: str | None) -> Failure:
    return Failure(
        FailureKind.TRANSIENT,
        "proxy_refused",
        "the proxy does not let calls through",
        advice=f"check {proxy_variable or 'the proxy'}, and the name and password in it",
    )


def _wrong_tls(error: BaseException | None, proxy_variable: str | None) -> Failure | None:
    """What is wrong with the server's certificate, or its port, if that let nothing be sent."""
    cause = error
    while cause is not None and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__ or cause.__context__
    if isinstance(cause, ssl.SSLError) and cause.reason in _NO_TLS and proxy_variable is None:
        reason = "the server does not speak TLS at this port"
        return Failure(FailureKind.TRANSIENT, "no_tls", reason, advice=_NO_TLS_ADVICE)
    if not isinstance(cause, ssl.SSLCertVerificationError):
        return None
    code, what, advice = _CERTIFICATES.get(cause.verify_code, _NOT_TRUSTED)
    reason = f"the server's certificate {what}"
    return Failure(FailureKind.TRANSIENT, code, reason, advice=advice)


def _never_sent(cause: BaseException, proxy_variable: str | None) -> Failure:
    if isinstance(cause, httpx2.PoolTimeout):
        reason = "no connection of the pool became free in time"
        return Failure(FailureKind.TRANSIENT, "no_free_connection", reason)
    reason = "no connection to the server"
    if proxy_variable is not None:
        reason += f", or to the proxy that {proxy_variable} names"
    return Failure(FailureKind.TRANSIENT, "not_connected", reason)


def _what_happened(
    error: Exception, cause: BaseException | None, operation: Operation, is_stage_over: bool
) -> tuple[str, str]:
    if isinstance(cause, _TIMEOUTS) or isinstance(error, _TIMEOUTS):
        return (
            (STAGE_IS_OVER, "no answer in the time of this stage")
            if is_stage_over
            else (error_codes.TIMEOUT, "no answer in time")
        )
    if isinstance(cause, AnswerTooLargeError):
        return ANSWER_TOO_LARGE, "the answer is larger than any that is meant"
    if isinstance(cause, MalformedAnswerError):
        return MALFORMED, "the answer holds what no such answer can"
    if isinstance(cause, ValueError | httpx2.DecodingError):
        return error_codes.UNREADABLE, "the answer cannot be read"
    if operation == Operation.DOWNLOAD_FILE and isinstance(cause, httpx2.RemoteProtocolError):
        return error_codes.TRUNCATED, "the connection ended before the file did"
    return "connection_lost", "the connection was lost"


def retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """Read the seconds that the server asks to wait; at most a day. `None`: none, or not clear.

    `headers` are looked up in lower case. `retry-after-ms` is OpenAI's own and goes first.
    """
    for name, divisor in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        seconds = _number(headers.get(name))
        if seconds is not None:
            return min(max(seconds / divisor, 0.0), _LONGEST_WAIT_SECONDS)
    return _until(headers.get("retry-after"))


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def date_of(headers: Mapping[str, str]) -> datetime | None:
    """Read when the server sent an answer; `None` if it does not say, or not clearly."""
    return _moment(headers.get("date"))


def _until(date: str | None) -> float | None:
    moment = _moment(date)
    if moment is None:
        return None
    return min(max(moment.timestamp() - time.time(), 0.0), _LONGEST_WAIT_SECONDS)


@lru_cache(maxsize=16)
def _moment(date: str | None) -> datetime | None:
    try:
        parsed = parsedate_tz(date or "")
        return datetime.fromtimestamp(mktime_tz(parsed), UTC) if parsed else None
    except (ValueError, OverflowError, OSError):
        return None
