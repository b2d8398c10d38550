"""Result files from the server to disk, some ahead of whoever reads them."""

import os
import threading
from collections.abc import Generator, Iterable, Mapping
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from queue import SimpleQueue

from batch_assets.domain.batches import EndedBatch
from batch_assets.domain.errors import ApiError, Failure, FailureKind
from batch_assets.openai_batch import error_codes
from batch_assets.openai_batch.client import BatchApi
from batch_assets.openai_batch.operations import Operation
from batch_assets.openai_batch.spool import Spool
from batch_assets.stages.concurrency import SlotPool

_AHEAD = 2
"""Batches that are fetched or lie ready, for each that is fetched at a time."""
_ROWS_AHEAD = 20_000
"""Their requests, but for those of the first."""


@dataclass(frozen=True, slots=True)
class ResultFile:
    """One file of a batch, whole, on disk."""

    id: str
    """The server's."""
    path: Path
    bytes: int
    is_error_file: bool


@dataclass(frozen=True, slots=True)
class Fetched:
    """What the server had of a batch."""

    batch: EndedBatch
    """As the server shows it now, if it was asked again."""
    files: tuple[ResultFile, ...] = ()
    """Without those that were received before and have not changed."""
    missing: Mapping[str, Failure] = field(default_factory=dict)
    """The ids of files that the server refuses, and why."""
    error: ApiError | None = None
    """Why there is no more of it; the lines up to there are whole and were paid for."""
    is_known: bool = False
    """Whether the server was asked for the batch itself, and has it."""
    has_changed: bool = False
    """Whether it showed something else of the batch then than before."""


def fetch_results(
    api: BatchApi, batches: Iterable[EndedBatch], spool: Spool, *, at_a_time: int
) -> Generator[Fetched, None, None]:
    """The results of batches, as they come in; at most `at_a_time` are fetched at once.

    They are begun in their order; one that comes slowly holds up none that is there.

    A batch that was looked at before is asked for again first. Whoever reads a file removes it.
    What is fetched ahead is bounded, so that neither the disk nor a lease has to last for all of
    them. Close the iterator to stop early.
    """
    is_over = threading.Event()
    pool = SlotPool(api.in_flight, at_a_time, is_over)
    done: SimpleQueue[Future[Fetched]] = SimpleQueue()
    begun = 0
    rows = 0

    def fetch(batch: EndedBatch) -> Fetched:
        # Nobody waits for it then, and others may have all slots.
        return Fetched(batch) if is_over.is_set() else _fetch(api, batch, spool)

    try:
        for batch in batches:
            while begun and (begun >= _AHEAD * at_a_time or rows + batch.requests > _ROWS_AHEAD):
                fetched = done.get().result()
                begun -= 1
                rows -= fetched.batch.requests
                yield fetched
            pool.submit(partial(fetch, batch)).add_done_callback(done.put)
            begun += 1
            rows += batch.requests
        for _ in range(begun):
            yield done.get().result()
    finally:
        pool.close()


def can_download(api: BatchApi, file_id: str | None) -> bool:
    """Whether this file is given out; it is not read."""
    if file_id is None:
        return False
    with closing(api.download(file_id)) as lines:
        try:
            next(lines, b"")
        except ApiError:
            return False
    return True


def _fetch(api: BatchApi, batch: EndedBatch, spool: Spool) -> Fetched:
    before = batch
    if batch.polls:
        try:
            batch = batch.as_now(api.retrieve(batch.openai_batch_id))
        except ApiError as error:
            return Fetched(batch, error=error)
    files: list[ResultFile] = []
    missing: dict[str, Failure] = {}
    stopped_by = None
    for file_id, received, is_error_file in (
        (batch.output_file_id, batch.output_bytes, False),
        (batch.error_file_id, batch.error_bytes, True),
    ):
        if file_id is None or is_unchanged(api, file_id, received):
            continue
        path = spool.new_path()
        try:
            _save(api, file_id, path)
        except ApiError as error:
            if error.failure.code in error_codes.OF_ONE_FILE | {error_codes.NOT_FOUND}:
                missing[file_id] = error.failure
                continue
            stopped_by = error
        files += _kept(file_id, path, is_error_file=is_error_file)
        if stopped_by is not None:
            break
    return Fetched(
        batch,
        tuple(files),
        missing,
        stopped_by,
        is_known=batch.polls > 0,
        has_changed=batch != before,
    )


def _kept(file_id: str, path: Path, *, is_error_file: bool) -> list[ResultFile]:
    """What is on disk of a file; nothing of one for which there was no room."""
    if not path.exists():
        return []
    return [ResultFile(file_id, path, path.stat().st_size, is_error_file)]


def is_unchanged(api: BatchApi, file_id: str, received: int | None) -> bool:
    """Whether what was received is all that the server has, give or take a last line end."""
    if received is None:
        return False
    try:
        return received - api.file_bytes(file_id) in {0, 1}
    except ApiError:
        return False


def _save(api: BatchApi, file_id: str, path: Path) -> None:
    """Keep a file, or as much of it as could be read. One for which there is no room goes again."""
    try:
        with path.open("xb") as file, closing(api.download(file_id)) as lines:
            for line in lines:
                file.write(line + b"\n")
    except OSError as error:
        path.unlink(missing_ok=True)
        reason = f"the file cannot be kept ({os.strerror(error.errno or 0)})"
        advice = (
            "make room on the disk of the spool directory, and see to it that it may be written"
        )
        failure = Failure(FailureKind.TRANSIENT, error_codes.NOT_KEPT, reason, advice=advice)
    else:
        return
    raise ApiError(Operation.DOWNLOAD_FILE, failure)
