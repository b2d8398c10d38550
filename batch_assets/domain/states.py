"""The states of requests and batches and the moves between them.

`docs/state_machine.md` shows these tables; a test compares the two. LiveDash's enums are here
under their own names, since its rows are what every move writes.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class RequestStatus(StrEnum):
    """LiveDash's `"AIRequestStatus"`: what its rows say of a request."""

    PENDING_BATCHING = "PENDING_BATCHING"
    BATCHING_IN_PROGRESS = "BATCHING_IN_PROGRESS"
    PROCESSING_COMPLETE = "PROCESSING_COMPLETE"
    PROCESSING_FAILED = "PROCESSING_FAILED"


class LiveDashBatchStatus(StrEnum):
    """LiveDash's `"AIBatchRequestStatus"`: what its rows say of a batch."""

    PENDING = "PENDING"
    UPLOADING = "UPLOADING"
    VALIDATING = "VALIDATING"
    IN_PROGRESS = "IN_PROGRESS"
    FINALIZING = "FINALIZING"
    COMPLETED = "COMPLETED"
    PROCESSED = "PROCESSED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


class Bucket(StrEnum):
    """Where a request is. Each request is in exactly one bucket at any committed moment.

    The last three have no row of ours: LiveDash itself has answered them, or failed at it. What it
    did by its older, live way it never marked in the status: such requests look as if they waited.
    """

    WAITING = "waiting"
    IN_BATCH = "in_batch"
    FOLLOWS = "follows"
    COMPLETE = "complete"
    RETRY = "retry"
    DEAD = "dead"
    FAILED_ELSEWHERE = "failed_elsewhere"
    ANSWERED_BEFORE = "answered_before"
    FAILED_BEFORE = "failed_before"


class BatchState(StrEnum):
    """How far a batch of ours has come; kept in `batch_assets.batch`."""

    CLAIMED = "claimed"
    UPLOADED = "uploaded"
    SUBMITTED = "submitted"
    ENDED = "ended"
    FINALIZED = "finalized"
    RELEASED = "released"


@dataclass(frozen=True, slots=True)
class Move:
    """One allowed move: from where to where, which stages make it, and on what ground."""

    source: str
    target: str
    made_by: str
    when: str


REQUEST_MOVES: tuple[Move, ...] = (
    Move(
        Bucket.WAITING,
        Bucket.IN_BATCH,
        "plan, synchronous",
        "claimed into a batch of its company and model",
    ),
    Move(
        Bucket.WAITING,
        Bucket.DEAD,
        "plan",
        "it can never be sent: no messages, too long, an id that nothing could be matched to",
    ),
    Move(Bucket.WAITING, Bucket.FOLLOWS, "plan", "another open request asks the same"),
    Move(Bucket.WAITING, Bucket.RETRY, "plan", "LiveDash had reset it while it was to be retried"),
    Move(Bucket.FOLLOWS, Bucket.COMPLETE, "ingest, synchronous", "the other one was answered"),
    Move(
        Bucket.FOLLOWS,
        Bucket.WAITING,
        "ingest, synchronous, plan, retry",
        "the other one is dead, deleted, or finished by somebody else, and this one is the oldest; "
        "or it is drained, and the other one is in no batch of ours",
    ),
    Move(
        Bucket.FOLLOWS,
        Bucket.DEAD,
        "ingest, synchronous",
        "what became of the other one's synchronous request is not known",
    ),
    Move(Bucket.IN_BATCH, Bucket.COMPLETE, "ingest, synchronous", "a valid answer was stored"),
    Move(Bucket.IN_BATCH, Bucket.RETRY, "ingest, synchronous", "it failed in a way that may pass"),
    Move(
        Bucket.IN_BATCH,
        Bucket.DEAD,
        "ingest, synchronous",
        "it failed for good or too often, or what became of its synchronous request is not known",
    ),
    Move(
        Bucket.IN_BATCH,
        Bucket.WAITING,
        "submit, recover, ingest, synchronous, retry, confirm, operator",
        "its batch was never created, or given up, or ended without an answer for it",
    ),
    Move(
        Bucket.RETRY,
        Bucket.WAITING,
        "retry",
        "its retry date has come, or nothing is submitted any more, since it is drained",
    ),
    Move(
        Bucket.RETRY,
        Bucket.IN_BATCH,
        "synchronous",
        "to be sent synchronously: the next batch would come too late, or an operator asked for it",
    ),
    Move(
        Bucket.DEAD,
        Bucket.IN_BATCH,
        "synchronous",
        "to be sent synchronously: an operator asked for it",
    ),
    Move(
        Bucket.DEAD,
        Bucket.FOLLOWS,
        "synchronous",
        "an operator asked for it to be sent synchronously, and another one asks the same",
    ),
    Move(Bucket.DEAD, Bucket.WAITING, "operator", "requeued, with all its tries again"),
    Move(Bucket.FAILED_ELSEWHERE, Bucket.WAITING, "operator", "requeued with --external"),
)

BATCH_MOVES: tuple[Move, ...] = (
    Move(BatchState.CLAIMED, BatchState.UPLOADED, "submit", "the server has the input file"),
    Move(BatchState.CLAIMED, BatchState.SUBMITTED, "recover", "found on the server and adopted"),
    Move(
        BatchState.CLAIMED,
        BatchState.RELEASED,
        "submit, recover, confirm, operator",
        "refused, nothing left to send, proved absent, left to the original of this copy, or given "
        "up: nothing proves for long that there is one, or none",
    ),
    Move(BatchState.UPLOADED, BatchState.SUBMITTED, "submit, recover", "the server has the batch"),
    Move(
        BatchState.UPLOADED,
        BatchState.RELEASED,
        "submit, recover, retry, confirm, operator",
        "refused, proved absent, left to the original of this copy, given up, or, while it is "
        "drained, not asked for yet",
    ),
    Move(
        BatchState.SUBMITTED,
        BatchState.ENDED,
        "poll, operator",
        "the server says that it ended, or an operator gives it up: unknown to it, or never ending",
    ),
    Move(
        BatchState.ENDED,
        BatchState.FINALIZED,
        "ingest, synchronous",
        "every row has left the batch",
    ),
)

UNRESOLVED_BATCH_STATES: tuple[BatchState, ...] = (BatchState.CLAIMED, BatchState.UPLOADED)
"""States in which a call may be under way, or may have been lost with its answer."""

SERVER_ENDED: frozenset[str] = frozenset({"completed", "failed", "expired", "cancelled"})
"""The server's words for a batch that will not change again; any other: it still runs."""

BEYOND_CANCELLING: frozenset[str] = SERVER_ENDED | {"cancelling", "finalizing"}
"""The server's words for a batch that it is no use to cancel."""

LOST: Final = "lost"
"""Our own word in the place of the server's: for a batch that was given up as unknown to it."""

ABANDONED: Final = "abandoned"
"""Another one: for a batch that was given up though the server knows it, since it did not end."""

GIVEN_UP: frozenset[str] = frozenset({LOST, ABANDONED})
"""Our own words for a batch of which no result is waited for any more: the server is not asked."""

LOST_AFTER: Final = "1h"
"""The age that a batch has to have to be given up so, unless another one is asked for."""

_LIVEDASH_RUNNING: dict[str, LiveDashBatchStatus] = {
    "validating": LiveDashBatchStatus.VALIDATING,
    "finalizing": LiveDashBatchStatus.FINALIZING,
}


def livedash_status(server_status: str, *, readable: bool) -> LiveDashBatchStatus:
    """The value of LiveDash's enum that is nearest to what the server says of a batch.

    `readable` says whether there is an output or an error file. An ended batch with something to
    read is COMPLETED (ingestion makes it PROCESSED); with nothing to read FAILED or CANCELLED.
    """
    if server_status not in SERVER_ENDED:
        return _LIVEDASH_RUNNING.get(server_status, LiveDashBatchStatus.IN_PROGRESS)
    if readable:
        return LiveDashBatchStatus.COMPLETED
    if server_status == "cancelled":
        return LiveDashBatchStatus.CANCELLED
    return LiveDashBatchStatus.FAILED
