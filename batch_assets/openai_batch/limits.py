"""What the Batch API allows, and how long a call may take and how much it may bring.

The figures are OpenAI's published hard limits (Batch guide and OpenAPI description); a profile may
say others. What an account may enqueue on top of them depends on its tier and is a setting.

The HTTP library's time-outs are for one wait each, and it unpacks whatever it is sent: a server
that sends a byte a second, or a few megabytes that unpack to gigabytes, would hold a run for ever.
So each call has bounds of its own.
"""

import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from batch_assets.openai_batch.operations import CREATING, SYNCHRONOUS, Operation, Timeouts

ENDPOINT: Final = "/v1/chat/completions"

MAX_REQUESTS = 50_000
"""Requests in one input file."""

MAX_FILE_BYTES = 200_000_000
"""Bytes of one input file: "200 MB", read as the smaller of its two meanings."""

MAX_RESULT_BYTES = 1_000_000_000
"""Bytes of a result file that are read: twice what OpenAI keeps in one file."""

MAX_LINE_BYTES = 16_000_000
"""Bytes of one line of it: many times what a model can answer."""

MAX_ANSWER_BYTES = 8_000_000
"""Bytes of a batch, or of a page of a list; a batch can hold an error for each of its lines."""

MAX_COMPLETION_BYTES = 2_000_000
"""Bytes of the answer to a synchronous request."""

MAX_SMALL_ANSWER_BYTES = 1_000_000
"""Bytes of any other answer."""

MAX_JSON_VALUES = 500_000
"""Values in one JSON text: each takes many times more memory than its text."""

MAX_PAGES = 500
"""Pages of one listing."""

NO_END = float("inf")

_READING_OVERTIME = 10.0
"""Seconds past the end of its stage that a reading call may go on which is under way."""
_CREATING_OVERTIME = 60.0
"""The same of one that creates: cut off, its outcome is not known and has to be looked up."""

_SLOWEST_BYTES_A_SECOND = 10_000
"""What a download must bring on average, once its time without that has gone by."""

_MOST_BYTES: dict[Operation, int] = {
    Operation.RETRIEVE_BATCH: MAX_ANSWER_BYTES,
    Operation.LIST_BATCHES: MAX_ANSWER_BYTES,
    Operation.LIST_FILES: MAX_ANSWER_BYTES,
    Operation.CHAT_COMPLETION: MAX_COMPLETION_BYTES,
    Operation.FLEX_COMPLETION: MAX_COMPLETION_BYTES,
    Operation.DOWNLOAD_FILE: MAX_RESULT_BYTES,
}

_calls = threading.local()


class AnswerTooLargeError(Exception):
    """The server sends more than any answer of this kind holds; the rest was not read."""


@dataclass(slots=True)
class Bounds:
    """Of one call, its repetitions included. Moments are of the monotonic clock."""

    most_bytes: int
    """Of the answer as it is unpacked."""
    ends_at: float
    stage_ends_at: float
    """When a call has to end for which it is made, whatever time it still has of its own."""
    bytes_a_second: int | None = None
    """So many bytes that have come let the call go on for a second longer; `None`: none do."""
    received: int = 0

    @property
    def seconds_left(self) -> float:
        """None or less: the call has to end."""
        earned = self.received / self.bytes_a_second if self.bytes_a_second else 0.0
        return min(self.ends_at + earned, self.stage_ends_at) - time.monotonic()

    @property
    def is_stage_over(self) -> bool:
        """Whether it is the stage's time that is up."""
        return time.monotonic() >= self.stage_ends_at

    def receive(self, count: int, *, most: int | None = None) -> None:
        """Count bytes that came in; `most` bounds these more closely than the call's own limit.

        Raises:
            AnswerTooLargeError: More has come than there may be.
        """
        self.received += count
        if self.received > (self.most_bytes if most is None else min(most, self.most_bytes)):
            raise AnswerTooLargeError


def bounds_of(operation: Operation, timeouts: Timeouts, stage_ends_at: float) -> Bounds:
    """The bounds of a call of this kind that begins now.

    A synchronous request is never cut for its stage's sake: what it was paid for would be lost.
    """
    if operation in SYNCHRONOUS:
        overtime = NO_END
    else:
        overtime = _CREATING_OVERTIME if operation in CREATING else _READING_OVERTIME
    return Bounds(
        most_bytes=_MOST_BYTES.get(operation, MAX_SMALL_ANSWER_BYTES),
        ends_at=time.monotonic() + timeouts.longest(operation),
        stage_ends_at=stage_ends_at + overtime,
        bytes_a_second=(_SLOWEST_BYTES_A_SECOND if operation is Operation.DOWNLOAD_FILE else None),
    )


def current() -> Bounds | None:
    """The bounds of the call that this thread makes."""
    bounds: Bounds | None = getattr(_calls, "bounds", None)
    return bounds


@contextmanager
def bounded(bounds: Bounds) -> Generator[None, None, None]:
    """Hold whatever this thread sends and receives in the context to these bounds."""
    before = current()
    _calls.bounds = bounds
    try:
        yield
    finally:
        _calls.bounds = before


def each_within(bounds: Bounds, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Iterate over chunks; each is waited for within the bounds, which hold nothing between two."""
    while True:
        with bounded(bounds):
            chunk = next(chunks, None)
        if chunk is None:
            return
        yield chunk
