"""Waiting for the server to process input files, for all batches of a wave within one span."""

import threading
import time
from collections.abc import Callable

from batch_assets.domain.failures import ApiError, Failure, FailureKind
from batch_assets.domain.logs import open_log
from batch_assets.domain.policy import Policy
from batch_assets.openai_batch import error_codes
from batch_assets.openai_batch.client import BatchApi
from batch_assets.openai_batch.operations import Operation
from batch_assets.store.pending_files import PendingFile

log = open_log(__name__)

_FIRST_PAUSE = 0.25
_LONGEST_PAUSE = 5.0
_NEVER_READY = frozenset({error_codes.FILE_FAILED, error_codes.NOT_FOUND})


class FileWaits:
    """Files that are processed one after the other are so side by side: one span is for all.

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
        `put_off` before. ApiError if it will never be ready, or was not for too long.
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
