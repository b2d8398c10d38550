"""Worlds to rehearse in: what the server and the operator do while a story's runs are made.

In the rehearsals, which have one of these each, no run is killed; every other story has that of
one of them as well, and is struck on top.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from drills.story import POLICY

LOST_ANSWER: Final = {"kind": "drop", "work": "done"}
UNSENT: Final = {"kind": "drop", "work": "never"}
LATER: Final = {"kind": "drop", "work": "later", "later_seconds": 0.7}
SLOW: Final = {"kind": "delay", "seconds": 0.8, "when": "before"}
SLOW_ANSWER: Final = {"kind": "delay", "seconds": 0.8, "when": "after"}
LONG: Final = {"kind": "delay", "seconds": 0.25, "when": "before"}
BUSY: Final = {"kind": "answer", "status": 429, "headers": {"Retry-After": "0"}}
UNWELL: Final = {"kind": "answer", "status": 503, "headers": {"retry-after-ms": "1"}}
UNAVAILABLE: Final = {"kind": "answer", "status": 503}
UNAVAILABLE_BUT_DONE: Final = {"kind": "answer", "status": 500, "work_done": True}
CUT: Final = {"kind": "truncate", "after_bytes": 400, "framing": "content_length"}
CUT_SILENTLY: Final = {"kind": "truncate", "after_bytes": 400, "framing": "silent"}
CUT_CHUNKED: Final = {"kind": "truncate", "after_bytes": 400, "framing": "chunked"}

FAILING: Final = ("error500", "timeout", "missing", "violation")
"""Fates of rows that fail in a batch and are tried again."""

EFFECTS: Final = (
    *(LOST_ANSWER, UNSENT, SLOW_ANSWER, BUSY, UNAVAILABLE, UNAVAILABLE_BUT_DONE),
    *(CUT, CUT_CHUNKED),
)
OPERATIONS: Final = (
    *("files.create", "files.list", "files.content", "files.delete"),
    *("batches.create", "batches.create", "batches.list", "batches.retrieve"),
)


def call(operation: str, effect: Mapping[str, Any], *, after: int = 0, count: int = 1) -> Any:
    """A rule of the local server: so many calls of this operation are struck."""
    return {"operation": operation, "effect": effect, "after": after, "count": count}


def of_each_file(effect: Mapping[str, Any], *, after: int = 0, **named: Any) -> Any:
    """A rule that strikes one download of each file, after so many."""
    return call("files.content", effect, after=after) | {"per_object": True, **named}


def _incident(*, lasts: float, **error: Any) -> Any:
    """Validation that fails for a while by the server's own fault, whatever is in the batch."""
    errors = {"errors": [error]} if error else {"without_errors": True}
    return {"end_as": "failed", "lasts": lasts, **errors}


LIVE: Final = replace(POLICY.synchronous, is_on=True, lead_seconds=2 * POLICY.batch_timeout_seconds)
"""Sends live whatever is tried again."""


@dataclass(frozen=True)
class Rehearsed:
    """What the server does in a rehearsal, and what is unlike `POLICY` there."""

    calls: tuple[Any, ...] = ()
    batches: tuple[Any, ...] = ()
    quirks: Mapping[str, Any] = field(default_factory=dict)
    clock_skew_seconds: float = 0
    ends_late: bool = False
    """Whether batches do not end before an operator has given them up."""
    all_readable: bool = False
    """Whether every row has a line that can be read, sooner or later."""
    policy: Mapping[str, Any] = field(default_factory=dict)
    cut_at: str | None = None
    """Where the database's connections are cut: nothing else leads to some points."""


_ANOTHER: Final = {"batch_assets_installation": "another", "batch_assets_batch": "theirs"}
_FOREIGN: Final = {
    "foreign_batches": [
        {"id": "batch_bare", "object": "batch", "status": "in_progress"},
        {"id": "batch_odd", "object": "batch", "status": "completed", "created_at": "yesterday"},
        {"id": "batch_another", "object": "batch", "status": "completed", "metadata": _ANOTHER},
    ],
    "foreign_files": [
        {"id": "file-bare", "object": "file"},
        {"id": "file-another", "object": "file", "filename": "batch-assets_another_theirs.jsonl"},
    ],
}
"""Other people's items, before our own in each list: a part of what they should have is missing."""

_LOSING: Final = (
    call("batches.create", LOST_ANSWER),
    call("files.create", LOST_ANSWER, after=1),
    call("batches.create", LOST_ANSWER, after=2),
)
"""What makes recovery look at lists."""

_PATIENT: Final = {"reading_grace_seconds": 8.0, "stuck_seconds": 10.0}
_MOST_PATIENT: Final = {"reading_grace_seconds": 600.0, "stuck_seconds": 610.0}
"""Where every row has a line in the end: a slow machine gives up none, and no run waits so long."""
_STUCK: Final = {"batch_timeout_seconds": 0.3, "stuck_seconds": 2.0}

_PAGE: Final = {"kind": "body"}
_OF_AN_ERROR: Final = {"kind": "body", "content": '{"error": {"message": "busy"}}'}
_NO_PAGE: Final = {"kind": "body", "status": 404, "content": "<h1>404</h1>"}
_NOT_FOUND: Final = {"kind": "answer", "status": 404}
_EMPTY: Final = {"kind": "body", "content": "", "content_type": "application/octet-stream"}

REHEARSED: Final = (
    Rehearsed(),
    Rehearsed(
        calls=(
            call("batches.create", LOST_ANSWER),
            call("files.create", LOST_ANSWER, after=1),
            call("batches.create", UNSENT, after=2),
        )
    ),
    Rehearsed(calls=(call("files.create", BUSY), call("batches.create", BUSY, after=1))),
    Rehearsed(
        calls=(
            call("batches.create", LATER),
            call("batches.create", UNAVAILABLE_BUT_DONE, after=1),
        )
    ),
    # Some batches stop moving, and are cancelled; files come so slowly that leases are renewed.
    Rehearsed(
        calls=(call("files.content", SLOW, count=6),),
        batches=({"end_as": "stalled", "after_rows": 2, "count": 2},),
        policy={"batch_timeout_seconds": 0.3},
    ),
    # Each operation is unwell for a while; reading calls are tried three times. Breakers open soon.
    Rehearsed(
        calls=(
            call("batches.create", UNWELL, count=3),
            call("batches.list", UNWELL, count=3),
            call("files.list", UNWELL, count=3),
            call("files.delete", UNWELL, count=3),
            call("batches.retrieve", UNWELL, count=9),
            call("files.content", UNWELL, count=6),
            call("files.create", UNWELL, after=1, count=3),
        ),
        policy={"breaker_failures": 2},
    ),
    Rehearsed(
        calls=(call("chat", UNWELL, count=2), call("chat", BUSY, after=2)),
        policy={"synchronous": LIVE, "breaker_failures": 2},
    ),
    Rehearsed(
        calls=(call("chat", LONG, count=8),),
        policy={"synchronous": LIVE},
        cut_at="retry:commit:mark_called:before",
    ),
    # The server's words come late: file ids one after the other, or in `retrieve` alone.
    Rehearsed(
        quirks={"late_output_file": {"looks": 2}, "late_error_file": {"looks": 1}},
        batches=({"end_as": "expired", "after_rows": 3, "count": 2},),
        policy=_MOST_PATIENT,
        all_readable=True,
    ),
    Rehearsed(
        quirks={"lists": {"without_file_ids": True}, "zero_request_counts": True},
        batches=({"end_as": "cancelled", "after_rows": 3, "count": 2},),
        policy=_PATIENT,
    ),
    Rehearsed(
        quirks={
            "late_output_file": {"seconds": 0.5},
            "late_error_file": {"seconds": 0.2},
            "omit_batch_fields": ["request_counts"],
        },
        policy=_PATIENT,
    ),
    # Downloads are pages, errors under a 200, short, or another batch's, before they are right.
    Rehearsed(
        calls=(
            of_each_file(_PAGE),
            of_each_file({"kind": "first_lines", "lines": 1}, after=1),
            of_each_file({"kind": "other_lines"}, after=2, filename="_output"),
        ),
        policy=_MOST_PATIENT,
        all_readable=True,
    ),
    Rehearsed(
        calls=(
            of_each_file(_NO_PAGE),
            of_each_file(_NOT_FOUND, after=1),
            of_each_file(_EMPTY, after=2, filename="_output"),
            of_each_file(_OF_AN_ERROR, after=1, filename="_error"),
        ),
        policy=_MOST_PATIENT,
        all_readable=True,
    ),
    # Lists prove little, and the server's clock is wrong, while answers to creates are lost.
    Rehearsed(
        calls=_LOSING,
        quirks={"lists": {**_FOREIGN, "oldest_first": True}},
        clock_skew_seconds=-900,
    ),
    Rehearsed(
        calls=_LOSING,
        quirks={"lists": _FOREIGN, "null_batch_fields": ["metadata"]},
        clock_skew_seconds=900,
    ),
    Rehearsed(
        calls=(*_LOSING, {"operation": "files.list", "effect": {"kind": "answer", "status": 405}}),
        quirks={"lists": _FOREIGN},
        clock_skew_seconds=-600,
    ),
    # Some batches do not end, and cannot be cancelled: an operator gives them up.
    Rehearsed(
        calls=(call("batches.cancel", UNWELL, count=40),),
        batches=(
            {"end_as": "stalled", "stalls_in": "finalizing", "count": 1},
            {"end_as": "stalled", "survives": ["cancel", "window"], "after_rows": 2, "count": 1},
        ),
        policy=_STUCK,
        ends_late=True,
    ),
    Rehearsed(
        batches=(
            {"end_as": "stalled", "stalls_in": "cancelling", "after_rows": 3, "count": 1},
            {"end_as": "stalled", "stalls_in": "finalizing", "stalled_seconds": 2, "count": 2},
        ),
        policy=_STUCK,
        ends_late=True,
    ),
    # Validation fails by the server's own fault for a while.
    Rehearsed(batches=(_incident(lasts=1.0, code="invalid_request", param="file_id"),)),
    Rehearsed(
        batches=(
            {**_incident(lasts=1.5), "model": "gpt-4o-mini"},
            _incident(lasts=0.7, code="internal_error"),
        )
    ),
    Rehearsed(batches=(_incident(lasts=0.7, code="billing_hard_limit_reached"),)),
)
"""Worlds in which points are reached: recovery, refusals, breakers and synchronous calls, too."""
