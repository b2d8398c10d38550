"""Input files: written all from one read, as large as the server takes, and waited for.

An upload that is refused for its size (413), by the server or a gateway before it, is no fault of
its requests: they wait again, and go into batches of half that size. One request that is refused
alone can never be sent. Both hold only while the server takes small files.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import attrgetter

from batch_assets import analysis
from batch_assets.domain.batches import ClaimedBatch
from batch_assets.domain.errors import ApiError, Failure, FailureKind
from batch_assets.domain.logs import RateLimitedLogger, open_log
from batch_assets.domain.packing import Terms
from batch_assets.domain.policy import Policy
from batch_assets.domain.records import Conversation
from batch_assets.openai_batch import error_codes
from batch_assets.openai_batch.client import BatchApi
from batch_assets.openai_batch.operations import Operation
from batch_assets.openai_batch.spool import InputFile, Spool
from batch_assets.stages.pipeline import Pipeline
from batch_assets.store.intents import PendingFile
from batch_assets.store.protocol import Spent

log = open_log(__name__)

_FIRST_PAUSE = 0.25
_LONGEST_PAUSE = 5.0
_NEVER_READY = frozenset({error_codes.FILE_FAILED, error_codes.NOT_FOUND})


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A batch's input file on disk, and the rows that did not go into it."""

    file: InputFile
    dropped: tuple[str, ...]
    unknown_types: Counter[str]
    """Its rows whose processing type is not known, by a name that is safe to show."""


class InputFiles:
    """The input files of some claimed batches; a batch that could not be written has none."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.of_batch: dict[str, WrittenFile] = {}
        """By the batch's id."""
        self.broken: dict[str, str] = {}
        """Companies with a request that could not be written, and the error's class."""
        self.unwritten: OSError | None = None
        """Why some files could not be written: their batches' requests wait again."""
        self._pipeline = pipeline

    def written(
        self, batches: Sequence[ClaimedBatch], spool: Spool
    ) -> Generator[ClaimedBatch, None, None]:
        """Iterate over the batches, as each one's file is written; all come from one read.

        Those that have no file come last.
        """
        by_id = {batch.id: batch for batch in batches}
        conversations = self._pipeline.queries.conversations(list(by_id))
        with RateLimitedLogger(log) as limited_log:
            for batch_id, some in groupby(conversations, key=attrgetter("batch_id")):
                try:
                    error = self._write(batch_id, some, spool)
                except OSError as full:
                    self.unwritten = full
                    limited_log.warning(
                        "Batch %s cannot be written: %s", batch_id, type(full).__name__
                    )
                else:
                    if error is not None:
                        self.broken[by_id[batch_id].company_id] = error
                        limited_log.warning("Batch %s cannot be written: %s", batch_id, error)
                if batch_id in self.of_batch:
                    yield by_id[batch_id]
        yield from [batch for batch in batches if batch.id not in self.of_batch]

    def _write(
        self, batch_id: str, conversations: Iterable[Conversation], spool: Spool
    ) -> str | None:
        """The class of the error if a request cannot be written; its batch has no file then."""
        dropped = []
        unknown_types: Counter[str] = Counter()
        with spool.input_file(max_bytes=self._pipeline.policy.max_batch_bytes) as file:
            for conversation in conversations:
                try:
                    is_in = bool(conversation.contents) and file.add(
                        conversation.request_id, self._body_of(conversation)
                    )
                except (LookupError, TypeError, ValueError) as error:
                    # Nothing of the error goes on but its class: it may quote the conversation.
                    return type(error).__name__
                unknown_type = analysis.shown_if_unknown(conversation.processing_type)
                if not is_in:
                    dropped.append(conversation.request_id)
                elif unknown_type is not None:
                    unknown_types[unknown_type] += 1
        if file.requests:
            self.of_batch[batch_id] = WrittenFile(file, tuple(dropped), unknown_types)
        return None

    def _body_of(self, conversation: Conversation) -> bytes:
        model = self._pipeline.policy.model_of(conversation.model)
        return analysis.request_json(conversation, model)


class UploadSizes:
    """What the server takes in one upload, as far as it was met; threads may share it."""

    def __init__(self) -> None:
        self.refused: list[ClaimedBatch] = []
        """Batches of which nothing is wrong but their size."""
        self._alone: set[str] = set()
        self._smallest_refused: int | None = None
        self._largest_taken = 0
        self._lock = threading.Lock()

    @property
    def spent(self) -> Spent:
        """The requests and cost that were claimed for the refused ones: they are claimed again."""
        return Spent(
            sum(batch.requests for batch in self.refused),
            sum(batch.cost_eur for batch in self.refused),
        )

    def take(self, file: InputFile) -> None:
        """Note that the server has taken a file."""
        with self._lock:
            self._largest_taken = max(self._largest_taken, file.bytes)

    def refuse(
        self, batch: ClaimedBatch, file: InputFile, takes_small_files: Callable[[], bool]
    ) -> bool:
        """Note that the server has refused a file for its size. False: it refuses any size."""
        if not (self._largest_taken or takes_small_files()):
            return False
        is_alone = file.requests == 1
        with self._lock:
            self.refused.append(batch)
            if is_alone:
                self._alone.add(file.first_id)
            else:
                known = self._smallest_refused
                self._smallest_refused = file.bytes if known is None else min(known, file.bytes)
        return True

    def would_be_refused(self, file: InputFile) -> bool:
        """Whether it is as large as one of several requests that was refused."""
        known = self._smallest_refused
        return known is not None and file.bytes >= known and file.requests > 1

    def applied_to(self, terms: Terms) -> Terms:
        """Terms by which smaller batches are made, each time, and the hopeless are given up."""
        limit = terms.upload_bytes
        if self._smallest_refused is not None:
            half = self._smallest_refused // 2
            if self._largest_taken < self._smallest_refused:
                half = max(half, self._largest_taken)
            # Estimates may be far below what a batch turns out to be.
            limit = half if limit is None else min(half, limit // 2)
        return replace(terms, upload_bytes=limit, unsendable=terms.unsendable | self._alone)


class FileWaits:
    """Waits for files to be processed, all of them within one span.

    It begins with the first file that is waited for. Threads may share it.
    """

    def __init__(self, api: BatchApi, policy: Policy) -> None:
        self._api = api
        self._policy = policy
        self._ends_at: float | None = None
        self._lock = threading.Lock()

    def is_ready(
        self, file_id: str, goes_on: Callable[[], bool], put_off: PendingFile | None
    ) -> bool:
        """Whether a batch can be made of a file; waits for that within the span, while `goes_on`.

        Nothing is asked of a file that was ready when it was uploaded, unless its batch was
        `put_off` before.

        Raises:
            ApiError: It will never be ready, or was not for too long.
        """
        pause = _FIRST_PAUSE
        while self._is_pending(file_id, ask=put_off is not None):
            left = self._left()
            if left <= 0 or not goes_on():
                if put_off is not None and put_off.seconds > self._policy.file_patience_seconds:
                    raise _took_too_long()
                return False
            time.sleep(min(pause, left))
            pause = min(2 * pause, _LONGEST_PAUSE)
        return True

    def came_too_soon(self, file_id: str, refusal: Failure) -> bool:
        """Whether a creation was refused for good while its file was not processed."""
        return refusal.kind is FailureKind.PERMANENT and self._is_known_pending(file_id)

    def _is_known_pending(self, file_id: str) -> bool:
        try:
            return self._api.is_pending(file_id, ask=True)
        except ApiError:
            return False

    def _is_pending(self, file_id: str, *, ask: bool) -> bool:
        try:
            return self._api.is_pending(file_id, ask=ask)
        except ApiError as error:
            code = error.failure.code
            if code in _NEVER_READY:
                raise
            if code != error_codes.UNSUPPORTED:
                log.warning("The file %s cannot be looked at: %s", file_id, error)
            return code != error_codes.UNSUPPORTED

    def _left(self) -> float:
        with self._lock:
            if self._ends_at is None:
                self._ends_at = time.monotonic() + self._policy.file_wait_seconds
            return self._ends_at - time.monotonic()


def _took_too_long() -> ApiError:
    reason = "the server has not processed the input file in time"
    return ApiError(
        Operation.RETRIEVE_FILE, Failure(FailureKind.PERMANENT, error_codes.FILE_FAILED, reason)
    )
