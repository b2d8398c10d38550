"""Result files from the server to disk, some ahead of whoever reads them."""

from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from batch_assets.domain.batches import EndedBatch
from batch_assets.domain.failures import ApiError
from batch_assets.openai_batch import codes
from batch_assets.openai_batch.client import BatchApi
from batch_assets.openai_batch.spool import Spool

_AHEAD = 2
"""Batches that are fetched or lie ready, for each that is fetched at a time."""


@dataclass(frozen=True, slots=True)
class ResultFile:
    """One file of a batch, whole, on disk."""

    path: Path
    is_error_file: bool


@dataclass(frozen=True, slots=True)
class Fetched:
    """What the server had of a batch."""

    batch: EndedBatch
    files: tuple[ResultFile, ...]
    lost: tuple[str, ...]
    """The ids of files that the server no longer has."""
    error: ApiError | None
    """Why there is no more of it; the lines up to there are whole and were paid for."""


def fetch_results(
    api: BatchApi, batches: Iterable[EndedBatch], spool: Spool, *, at_a_time: int
) -> Generator[Fetched, None, None]:
    """The results of batches, in their order; at most `at_a_time` are fetched at once.

    Whoever reads a file removes it. What is fetched ahead is bounded, so that neither the disk nor
    a lease has to last for all of them. Close the iterator to stop early.
    """
    pool = ThreadPoolExecutor(max_workers=at_a_time)
    waiting: deque[Future[Fetched]] = deque()
    try:
        for batch in batches:
            waiting.append(pool.submit(_fetch, api, batch, spool))
            if len(waiting) >= _AHEAD * at_a_time:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _fetch(api: BatchApi, batch: EndedBatch, spool: Spool) -> Fetched:
    files: list[ResultFile] = []
    lost: list[str] = []
    stopped_by = None
    for file_id, is_error_file in ((batch.output_file_id, False), (batch.error_file_id, True)):
        if file_id is None:
            continue
        path = spool.new_path()
        try:
            _save(api, file_id, path)
        except ApiError as error:
            if error.failure.code == codes.NOT_FOUND:
                lost.append(file_id)
                continue
            stopped_by = error
        files.append(ResultFile(path, is_error_file))
        if stopped_by is not None:
            break
    return Fetched(batch, tuple(files), tuple(lost), stopped_by)


def _save(api: BatchApi, file_id: str, path: Path) -> None:
    with path.open("xb") as file, closing(api.download(file_id)) as lines:
        for line in lines:
            file.write(line + b"\n")
