"""Result files: their lines as they arrive, and what each line says.

Whatever a line holds, reading goes on: one bad line must not cost the paid answers after it. The
order of the lines is not that of the input, and a line may be missing, come twice or name a
request that was never sent: the caller compares with what it knows.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from batch_assets.domain.custom_ids import request_id_of
from batch_assets.domain.errors import ApiError, Failure, FailureKind
from batch_assets.domain.json_text import json_value
from batch_assets.domain.records import ResultLine
from batch_assets.openai_batch import error_codes, limits
from batch_assets.openai_batch.error_codes import ErrorDetails, details, never_ran, row_failure
from batch_assets.openai_batch.operations import Operation
from batch_assets.openai_batch.responses import read_response

_LONGEST_NUMBER = 20
"""Digits. Python refuses to read numbers of some thousands of digits, and none is meant here."""


@dataclass(frozen=True, slots=True)
class BrokenLine:
    """A line that cannot be given to any request: where it is and why, never what it holds."""

    number: int
    """1-based, empty lines counted."""
    code: str
    """`invalid_json`, `not_an_object` or `no_custom_id`."""


def read_results(lines: Iterable[bytes], *, error_file: bool) -> Iterator[ResultLine | BrokenLine]:
    """Read each line of a file, in the file's order; empty lines are left out.

    `error_file` decides only where a line itself does not say whether it succeeded.
    """
    for number, line in enumerate(lines, start=1):
        # A damaged character is replaced: the rest of the line was paid for.
        text = line.decode("utf-8", "replace").removeprefix("\ufeff").strip()
        if text:
            yield _read_line(text, number, error_file=error_file)


def read_json(text: str) -> object:
    """Read the value that `text` holds.

    Raises:
        ValueError: It is no JSON, or nested or of more values than is meant by anybody.
    """
    if sum(text.count(mark) for mark in ",[{") > limits.MAX_JSON_VALUES:
        raise ValueError("too many values")
    try:
        return json_value(text, parse_int=_whole_number)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _whole_number(digits: str) -> float:
    return int(digits) if len(digits) <= _LONGEST_NUMBER else math.inf


def _read_line(text: str, number: int, *, error_file: bool) -> ResultLine | BrokenLine:
    try:
        row = read_json(text)
    except ValueError:
        return BrokenLine(number, "invalid_json")
    if not isinstance(row, dict):
        return BrokenLine(number, "not_an_object")
    request_id = request_id_of(row.get("custom_id"))
    if request_id is None:
        return BrokenLine(number, "no_custom_id")
    return _read_row(request_id, row, error_file=error_file)


def _read_row(request_id: str, row: Mapping[str, object], *, error_file: bool) -> ResultLine:
    response = row.get("response")
    if not isinstance(response, dict):
        return _failed(request_id, None, details(row.get("error")), error_file=error_file)
    status = _status(response.get("status_code"))
    body = _body(response.get("body"))
    error = _error(row, status, body)
    succeeded = 200 <= status < 300 if status is not None else not error_file and error is None
    if not succeeded:
        return _failed(request_id, status, error, error_file=error_file)
    if body is None:
        unreadable = Failure(FailureKind.TRANSIENT, "no_body", "The answer has no readable body.")
        return ResultLine(request_id, None, unreadable, in_error_file=error_file)
    answer, failure = read_response(body)
    if error is not None:
        failure = row_failure(status, error)
    return ResultLine(request_id, answer, failure, in_error_file=error_file)


def _failed(
    request_id: str, status: int | None, error: ErrorDetails | None, *, error_file: bool
) -> ResultLine:
    if error is None and status is None:
        missing = Failure(
            FailureKind.TRANSIENT, "no_response", "The server gave neither an answer nor an error."
        )
        return ResultLine(request_id, None, missing, in_error_file=error_file)
    error = error or ErrorDetails()
    return ResultLine(
        request_id,
        None,
        row_failure(status, error),
        answered=not never_ran(error),
        in_error_file=error_file,
    )


def _error(
    row: Mapping[str, object], status: int | None, body: Mapping[str, object] | None
) -> ErrorDetails | None:
    """The error in the body, which says more, or the one beside the response."""
    inner = details(body.get("error")) if body is not None else None
    if inner is None and body is not None and (status or 0) >= 400:
        # Some servers put the error's parts right into the body.
        inner = details(body)
    return inner or details(row.get("error"))


def _status(value: object) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 3:
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1000:
        return value
    return None


def _body(value: object) -> Mapping[str, object] | None:
    if isinstance(value, str):
        try:
            value = read_json(value)
        except ValueError:
            return None
    return value if isinstance(value, dict) else None


def whole_lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Cut a download into lines without their ends; memory holds the longest line.

    Lines end at a line feed only: JSON strings may hold every other character that Python's own
    `splitlines` would break at. A line that is longer than any may be is cut, and thus no JSON any
    more. A last line without its end counts if it is whole JSON. (Cut exactly between two lines,
    without a length to compare with, a download looks whole: the caller counts what it got.)

    Raises:
        ApiError: The download was cut in the middle of a line.
    """
    pending: list[bytes] = []
    room = limits.MAX_LINE_BYTES
    for chunk in chunks:
        first, *others = chunk.split(b"\n")
        if room > 0:
            pending.append(first[:room])
            room -= len(first)
        if not others:
            continue
        yield b"".join(pending)
        yield from others[:-1]
        pending = [others[-1]]
        room = limits.MAX_LINE_BYTES - len(others[-1])
    last = b"".join(pending)
    if last.strip() or room < 0:
        yield _whole(last)


def _whole(line: bytes) -> bytes:
    try:
        read_json(line.decode("utf-8"))
    except ValueError:
        complete = False
    else:
        complete = True
    if not complete:
        reason = "the file ended in the middle of a line: it has to be read again"
        failure = Failure(FailureKind.TRANSIENT, error_codes.TRUNCATED, reason)
        raise ApiError(Operation.DOWNLOAD_FILE, failure)
    return line
