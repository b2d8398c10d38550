"""Whether what was read of an ended batch is all that there is, and what follows if it is not.

The server counts what it has answered and failed, and may show it late: file ids that come later, a
file that is not there yet or short. What it counts and does not show is looked at again, after
doubling pauses; `policy.reading_grace_seconds` after the first such reading what there is has to
do. A file that holds nothing of the batch is no result of it, and never has to do. That a file is
lost counts only where the server says so of a batch that it knows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from batch_assets.domain.batches import EndedBatch
from batch_assets.domain.errors import ApiError, Failure, FailureKind
from batch_assets.domain.logs import RateLimitedLogger
from batch_assets.domain.records import Lease
from batch_assets.openai_batch import error_codes
from batch_assets.openai_batch.operations import Operation
from batch_assets.stages.downloads import Fetched, ResultFile, can_download, is_unchanged
from batch_assets.stages.pipeline import Pipeline
from batch_assets.stages.result_writer import ResultWriter, Seen
from batch_assets.store.readings import NextLook


@dataclass(frozen=True, slots=True)
class ReadBatch:
    """What was fetched of a batch, and how many lines each of its files had.

    Of the output file (False) and of the error file (True).
    """

    fetched: Fetched
    lines: Mapping[bool, int]
    readable: Mapping[bool, int]
    """Those of them that name a request, whosever it is."""

    @property
    def batch(self) -> EndedBatch:
        """The batch as the server shows it now."""
        return self.fetched.batch

    def unrelated(self, seen: Seen) -> list[ResultFile]:
        """Find files that held lines, and none of them of a row of this batch."""
        return [
            file
            for file in self.fetched.files
            if self.lines[file.is_error_file] and file.is_error_file not in seen.files
        ]

    def lacks(self, seen: Seen) -> str | None:
        """Say what the server has and did not show, as the end of a sentence; `None`: nothing."""
        batch = self.batch
        answered = batch.answered + seen.answered
        if answered < batch.server_answered:
            return f"{answered:,} of {batch.server_answered:,} answers could be read"
        if batch.server_answered and batch.server_status != "completed":
            return None
        # One that ran to its end has something of each row, also where its counts lag behind.
        left = batch.requests - answered - batch.returned - seen.returned
        return f"{left:,} of {batch.requests:,} requests have no line" if left > 0 else None


@dataclass(slots=True)
class Judged:
    """What follows for batches that were read."""

    finished: list[EndedBatch] = field(default_factory=list)
    completeness: list[tuple[Lease, bool]] = field(default_factory=list)
    """Finished batches of which it has changed whether something is missing."""
    lost: set[str] = field(default_factory=set)
    """The ids of files that the server no longer has."""
    looks: list[NextLook] = field(default_factory=list)
    """Batches that are looked at again."""
    changed: list[EndedBatch] = field(default_factory=list)
    """Those of which the server shows more than before."""
    stopped_by: ApiError | None = None
    """If the server gives out no file at all."""


def judge_readings(
    pipeline: Pipeline,
    read: Sequence[ReadBatch],
    writer: ResultWriter,
    limited_log: RateLimitedLogger,
) -> Judged:
    """Say of each batch whether it is finished; one that broke off is left as it is.

    Asks the server where a loss is to be proved.
    """
    judged = Judged(changed=[one.batch for one in read if one.fetched.has_changed])
    judging = _Judging(pipeline, read, judged, limited_log)
    for one in read:
        if one.fetched.error is not None:
            continue
        if one.batch.id in writer.unwritten:
            judging.forget(one)
        else:
            judging.judge(one, writer.seen[one.batch.id])
    return judged


class _Judging:
    def __init__(
        self,
        pipeline: Pipeline,
        read: Sequence[ReadBatch],
        judged: Judged,
        limited_log: RateLimitedLogger,
    ) -> None:
        self._pipeline = pipeline
        self._read = read
        self._judged = judged
        self._limited_log = limited_log
        self._gives_files: bool | None = None

    def judge(self, one: ReadBatch, seen: Seen) -> None:
        batch, missing = one.batch, one.fetched.missing
        lacks = one.lacks(seen)
        codes_of_missing = {failure.code for failure in missing.values()}
        if lacks is None:
            self._finish(one, is_incomplete=False)
        elif unrelated := one.unrelated(seen):
            self._judge_unrelated(one, unrelated, seen)
        elif error_codes.FILE_REFUSED in codes_of_missing and not self._is_given_any_file(batch):
            self._refuse(missing)
        elif self._is_over(batch) or (
            error_codes.GONE in codes_of_missing and self._is_rest_read(one)
        ):
            if error_codes.NOT_FOUND in codes_of_missing and not self._is_known(one):
                self._look_later(one, "it is not known whether its results are lost", seen)
            else:
                self._finish(one, is_incomplete=True)
        else:
            self._look_later(one, lacks, seen, is_incomplete=True)

    def _judge_unrelated(self, one: ReadBatch, unrelated: Sequence[ResultFile], seen: Seen) -> None:
        """A page, and another batch's lines, never have to do. A file of which no line can be read
        may be all that there is, if the server says that it is just as large."""
        is_unreadable = not any(one.readable[file.is_error_file] for file in unrelated)
        if is_unreadable and self._is_over(one.batch) and self._are_whole(unrelated):
            self._finish(one, is_incomplete=True)
        else:
            why = "the server answered with what is no result of it"
            self._look_later(one, why, seen, is_incomplete=is_unreadable)

    def _are_whole(self, files: Sequence[ResultFile]) -> bool:
        return all(is_unchanged(self._pipeline.api, file.id, file.bytes) for file in files)

    def _is_rest_read(self, one: ReadBatch) -> bool:
        """Whether nothing can come any more beside what is gone for good.

        A file whose id is not known yet, or that is short, may still bring paid answers.
        """
        return (
            None not in {one.batch.output_file_id, one.batch.error_file_id}
            and all(failure.code == error_codes.GONE for failure in one.fetched.missing.values())
            and self._are_whole(one.fetched.files)
        )

    def forget(self, one: ReadBatch) -> None:
        """Have a batch read again from its start whose answers LiveDash's database refuses."""
        if one.batch.polls:
            self._judged.looks.append(NextLook(one.batch.lease, 0.0, False, None, None))

    def _is_over(self, batch: EndedBatch) -> bool:
        waited = batch.incomplete_seconds or 0.0
        return waited >= self._pipeline.policy.reading_grace_seconds

    def _is_known(self, one: ReadBatch) -> bool:
        """Whether the server has the batch itself, so that it may tell of its files."""
        if one.fetched.is_known:
            return True
        try:
            self._pipeline.api.retrieve(one.batch.openai_batch_id)
        except ApiError as error:
            self._limited_log.warning("Asking for batch %s: %s", one.batch.id, error)
            return False
        return True

    def _is_given_any_file(self, batch: EndedBatch) -> bool:
        """Whether any file of this key can be downloaded, so that a refusal is of the one file."""
        if self._gives_files is None:
            self._gives_files = any(one.fetched.files for one in self._read) or can_download(
                self._pipeline.api, batch.input_file_id
            )
        return self._gives_files

    def _refuse(self, missing: Mapping[str, Failure]) -> None:
        (failure, *_) = (one for one in missing.values() if one.code == error_codes.FILE_REFUSED)
        account = Failure(FailureKind.ACCOUNT, failure.code, failure.reason)
        self._judged.stopped_by = ApiError(Operation.DOWNLOAD_FILE, account)

    def _finish(self, one: ReadBatch, *, is_incomplete: bool) -> None:
        self._judged.finished.append(one.batch)
        if is_incomplete:
            self._judged.lost.update(one.fetched.missing)
        if is_incomplete or one.batch.incomplete_seconds is not None:
            self._judged.completeness.append((one.batch.lease, is_incomplete))

    def _look_later(
        self, one: ReadBatch, why: str, seen: Seen, *, is_incomplete: bool = False
    ) -> None:
        batch = one.batch
        self._limited_log.warning("Batch %s is looked at again: %s", batch.id, why)
        received = {False: batch.output_bytes, True: batch.error_bytes}
        for file in one.fetched.files:
            is_of_use = file.bytes and file.is_error_file in seen.files
            received[file.is_error_file] = file.bytes if is_of_use else None
        self._judged.looks.append(
            NextLook(
                batch.lease,
                self._pipeline.policy.look_again_seconds(batch.polls),
                is_incomplete,
                output_bytes=received[False],
                error_bytes=received[True],
            )
        )
