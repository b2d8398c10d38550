"""Results of ended batches back into rows: both files of each, in sets that span batches.

A batch that was begun and not finished is read again from its start: a row whose attempt has ended
is left as it is. Expired, cancelled and partly failed batches are read like completed ones. A live
batch, which has no files, comes here only when its own run left it unfinished.
"""

import logging
from collections.abc import Sequence
from contextlib import closing

from batch_assets.domain.batches import EndedBatch
from batch_assets.domain.failures import ApiError, Failure, FailureKind
from batch_assets.domain.records import Lease
from batch_assets.openai_batch.results import read_results
from batch_assets.openai_batch.spool import Spool
from batch_assets.stages.downloads import Fetched, fetch_results
from batch_assets.stages.live_wave import give_up_called
from batch_assets.stages.pipeline import Budget, Pipeline, within_budget
from batch_assets.stages.refusals import quarantine
from batch_assets.stages.saying import Few
from batch_assets.stages.writing import IngestReport, ResultWriter

log = logging.getLogger(__name__)

_RESULTS_LOST = Failure(
    FailureKind.PERMANENT, "results_lost", "The server no longer has the results of the batch."
)
_NO_LINE = Failure(
    FailureKind.TRANSIENT, "missing_result", "The results hold no line for this request."
)


@within_budget
def ingest_results(pipeline: Pipeline, budget: Budget) -> IngestReport:
    """Read ended batches, oldest first, until none is left or the budget is spent.

    Raises ApiError when the server refuses the account; what was read by then stays.
    """
    report = pipeline.figures.note(IngestReport())
    glance = pipeline.glance
    if not glance.has_ended:
        return report
    holder = pipeline.holder(glance.installation.id)
    most = pipeline.policy.batches_per_read
    postponed: list[Lease] = []
    try:
        while not budget.is_spent:
            batches = pipeline.queries.take_ended(holder, most)
            postponed += _Reading(pipeline, batches, report).read(budget)
            if len(batches) < most:
                break
    finally:
        if postponed:
            pipeline.queries.expire(postponed)
    report.postponed = len(postponed)
    pipeline.look_again()
    return report


class _Reading:
    """Reads batches that were taken together, and settles those that were read to their end."""

    def __init__(
        self, pipeline: Pipeline, batches: Sequence[EndedBatch], report: IngestReport
    ) -> None:
        self._pipeline = pipeline
        self._batches = batches
        self._report = report
        self._writer = ResultWriter(pipeline, batches, report)
        self._finished = [batch for batch in batches if batch.is_live]
        self._few = Few(log)
        self._lost: set[str] = set()
        """The ids of files that the server no longer has."""

    def read(self, budget: Budget) -> list[Lease]:
        """Read as far as the budget allows; the leases on batches that are not finished."""
        stopped_by = None
        try:
            stopped_by = self._read_all(budget)
            self._writer.flush()
            settled = self._settle()
        except BaseException:
            self._pipeline.queries.expire([batch.lease for batch in self._batches])
            raise
        finally:
            self._few.close()
            self._writer.close()
        left = [batch.lease for batch in self._batches if batch.id not in settled]
        if stopped_by is not None:
            self._pipeline.queries.expire(left)
            raise stopped_by
        return left

    def _read_all(self, budget: Budget) -> ApiError | None:
        """Read batch after batch; the error if the server refuses the account."""
        at_a_time = self._pipeline.policy.concurrent_companies
        batches = [batch for batch in self._batches if not batch.is_live]
        with (
            Spool(self._pipeline.spool_dir) as spool,
            closing(
                fetch_results(self._pipeline.api, batches, spool, at_a_time=at_a_time)
            ) as results,
        ):
            for fetched in results:
                self._read(fetched, budget)
                error = fetched.error
                if error is not None:
                    self._few.warning(
                        "Reading the results of batch %s of %s: %s",
                        fetched.batch.id,
                        fetched.batch.company or fetched.batch.company_id,
                        error,
                    )
                    if error.failure.kind is FailureKind.ACCOUNT:
                        return error
                if budget.is_spent:
                    break
        return None

    def _read(self, fetched: Fetched, budget: Budget) -> None:
        """Take in the lines of one batch; it is finished unless some are or seem to be missing."""
        batch = fetched.batch
        read = 0
        for file in fetched.files:
            with file.path.open("rb") as lines:
                for line in read_results(lines, error_file=file.is_error_file):
                    self._writer.add(batch, line)
                    read += 1
            file.path.unlink()
        budget.spend(read)
        for file_id in fetched.lost:
            self._few.warning("Batch %s has lost its file %s", batch.id, file_id)
        self._lost.update(fetched.lost)
        if fetched.error is None and not self._may_be_cut(batch, read):
            self._finished.append(batch)

    def _may_be_cut(self, batch: EndedBatch, read: int) -> bool:
        """Fewer lines than the server says it made, and not for long enough to believe them."""
        grace = self._pipeline.policy.absence_grace_seconds
        is_cut = read < batch.server_answered and batch.ended_seconds < grace
        if is_cut:
            self._few.warning(
                "Batch %s: %d lines of %d could be read", batch.id, read, batch.server_answered
            )
        return is_cut

    def _settle(self) -> set[str]:
        """End the finished batches: rows without an answer fail, or wait again; which ended."""
        failing, refused, live = [], [], []
        for batch in self._finished:
            if batch.is_live:
                live.append(batch)
            elif batch.output_file_id in self._lost:
                failing.append((batch, _RESULTS_LOST))
            elif batch.server_status == "completed":
                failing.append((batch, _NO_LINE))
            elif batch.server_status == "failed":
                refused.append(batch)
        self._writer.fail_rest(failing)
        quarantine(self._pipeline, refused, self._writer)
        give_up_called(self._pipeline, live, self._writer)
        leases = [batch.lease for batch in self._finished if batch.id not in self._writer.unwritten]
        returned = self._pipeline.queries.settle(leases)
        self._report.rows.returned += sum(returned.values())
        self._report.settled += len(returned)
        settled = [batch for batch in self._finished if batch.id in returned]
        self._report.settled_as.update(batch.server_status for batch in settled)
        self._report.add_read(settled)
        return set(returned)
