"""What the server, or a gateway before it, takes in one upload: found by halves.

An upload that is refused for its size (413) is no fault of its requests: they wait again, and go
into batches of half that size. One request that is refused alone can never be sent. Both hold only
while the server takes small files.
"""

import threading
from collections.abc import Callable
from dataclasses import replace

from batch_assets.domain.batches import ClaimedBatch
from batch_assets.domain.packing import Terms
from batch_assets.openai_batch.spool import InputFile
from batch_assets.store.protocol import Spent


class UploadSizes:
    """What one wave learns of sizes; its calls are made side by side."""

    def __init__(self) -> None:
        self.refused: list[ClaimedBatch] = []
        """Batches of which nothing is wrong but their size."""
        self._alone: set[str] = set()
        self._smallest_refused: int | None = None
        self._largest_taken = 0
        self._lock = threading.Lock()

    @property
    def spent(self) -> Spent:
        """What was claimed for the refused ones: they are claimed again."""
        return Spent(
            sum(batch.requests for batch in self.refused),
            sum(batch.cost_eur for batch in self.refused),
        )

    def take(self, file: InputFile) -> None:
        """The server has taken a file."""
        with self._lock:
            self._largest_taken = max(self._largest_taken, file.bytes)

    def refuse(
        self, batch: ClaimedBatch, file: InputFile, takes_small_files: Callable[[], bool]
    ) -> bool:
        """The server has refused a file for its size. False: it refuses files of any size."""
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
