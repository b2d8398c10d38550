"""The lines of output and error files, in the shapes that OpenAI and its imitators write."""

import json
from typing import Any

from batch_assets_local.batch_server.config import Quirks
from batch_assets_local.batch_server.identifiers import RowIds

_UNRUN = {
    "expired": (
        "batch_expired",
        "This request could not be executed before the completion window expired.",
    ),
    "cancelled": (
        "batch_cancelled",
        "This request was not executed because the batch was cancelled.",
    ),
}


def answered(
    ids: RowIds, custom_id: str, status: int, body: dict[str, Any], quirks: Quirks
) -> bytes:
    """The line of a row that got an HTTP answer, good or bad, with its newline."""
    line: dict[str, Any] = {"id": ids.request, "custom_id": custom_id}
    if status != 200 and quirks.errors_without_response:
        line["error"] = body["error"]
        return _encode(line, quirks)
    shown = json.dumps(body) if quirks.string_bodies else body
    line["response"] = {"status_code": status, "request_id": ids.http_request, "body": shown}
    line["error"] = None
    return _encode(line, quirks)


def never_ran(ids: RowIds, custom_id: str | None, code: str, message: str, quirks: Quirks) -> bytes:
    """The line of a row without an HTTP answer: `response` is null, `error` says why."""
    line = {
        "id": ids.request,
        "custom_id": custom_id,
        "response": None,
        "error": {"code": code, "message": message},
    }
    if quirks.errors_without_response:
        del line["response"]
    return _encode(line, quirks)


def unrun(ids: RowIds, custom_id: str | None, ending: str, quirks: Quirks) -> bytes:
    """The line of a row that was not run because its batch expired or was cancelled."""
    code, message = _UNRUN[ending]
    return never_ran(ids, custom_id, code, message, quirks)


def broken(line: bytes) -> bytes:
    """A line that is not JSON any more: its first half."""
    return line[: len(line) // 2].rstrip() + b"\n"


def _encode(line: dict[str, Any], quirks: Quirks) -> bytes:
    text = json.dumps(line, ensure_ascii=not quirks.unescaped_unicode)
    return text.encode("utf-8", "replace") + b"\n"
