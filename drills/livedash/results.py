"""What LiveDash writes of answers and of failures. Each statement commits by itself, as there."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from batch_assets.store.sql import load
from drills.livedash.calls import Answer, Line

SQL: Final = load(Path(__file__).with_suffix(".sql"))
_FIELDS: Final = ("summary", "sentiment", "category", "language")
_NOT_UNDERSTOOD: Final = "Failed to parse AI response"


class GoneError(Exception):
    """Prisma found no row to update."""


def write_answer(connection: Connection, request_id: str, answer: Answer) -> None:
    """Complete a request and its session's four fields, whatever its status is by now.

    lib/batchProcessor.ts, updateProcessingRequestWithResult. What the database refuses makes a
    failure of a request that is complete already. It writes no cost, no stage and no question, and
    nothing at all of the session if the answer has none of the fields.
    Raises GoneError if there is no such request.
    """
    try:
        found = json.loads(answer.content)
        _update(
            connection,
            "write_answer",
            id=request_id,
            prompt_tokens=answer.prompt_tokens,
            completion_tokens=answer.completion_tokens,
            total_tokens=answer.total_tokens,
        )
        fields = _fields(found)
        if fields:
            values = {"id": request_id, "found": json.dumps(fields)}
            connection.execute(SQL["write_session"], values)
    except (ValueError, TypeError, DBAPIError, GoneError):
        fail_request(connection, request_id, _NOT_UNDERSTOOD)


def fail_request(connection: Connection, request_id: str, message: str) -> None:
    """lib/batchProcessor.ts, markProcessingRequestAsFailed. Raises GoneError."""
    _update(connection, "fail_request", id=request_id, message=message)


def fail_retry(connection: Connection, request_id: str, message: str) -> None:
    """The last lines of lib/batchProcessor.ts, retryFailedRequests. Raises GoneError."""
    text = f"Final retry failed: {message}"
    _update(connection, "fail_retry", id=request_id, message=text)


def write_lines(connection: Connection, batch_id: str, lines: Sequence[Line]) -> None:
    """Write an output file's lines; the batch is PROCESSED, whatever was not in them.

    lib/batchProcessor.ts, processBatchResults: a line that cannot be written is passed over.
    """
    for line in lines:
        try:
            if line.answer is not None and line.answer.content:
                write_answer(connection, line.custom_id, line.answer)
            else:
                fail_request(connection, line.custom_id, line.error)
        except (DBAPIError, GoneError):
            continue
    connection.execute(SQL["batch_processed"], {"id": batch_id})


def fail_batch(connection: Connection, batch_id: str, message: str) -> None:
    """Let a batch and all that is in it by now have failed.

    lib/batchProcessor.ts, markBatchAsFailed.
    """
    try:
        _update(connection, "fail_batch", id=batch_id)
    except GoneError:
        return
    text = f"Batch failed: {message}"
    connection.execute(SQL["fail_rows_of_batch"], {"batch_id": batch_id, "message": text})


def reset_sessions(connection: Connection, session_ids: Sequence[str], message: str) -> None:
    """Let every request in flight of these sessions wait again, ours too.

    lib/batchProcessor.ts, handleFailedBatchRequests: the ids that it collects are the sessions'.
    The failed batch's own rows have failed by then and are no longer among them.
    """
    text = f"Batch processing failed: {message}"
    values = {"session_ids": list(session_ids), "message": text}
    connection.execute(SQL["reset_rows_of_sessions"], values)


def _fields(found: Any) -> dict[str, str | None]:
    """Those that an answer has; ValueError or TypeError for what Prisma does not take."""
    if found is None:
        raise TypeError
    fields = {name: found[name] for name in _FIELDS if isinstance(found, dict) and name in found}
    if not all(value is None or isinstance(value, str) for value in fields.values()):
        raise ValueError
    return fields


def _update(connection: Connection, name: str, **values: Any) -> None:
    if not connection.execute(SQL[name], values).rowcount:
        raise GoneError
