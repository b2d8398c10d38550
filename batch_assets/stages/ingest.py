"""Results of ended batches back into rows: both files of each, in sets that span batches.

A batch that was begun and not finished is read again from its start: a row whose attempt has ended
is left as it is. Expired, cancelled and partly failed batches are read like completed ones. One of
which something is missing is looked at again: see `completeness`. A synchronous batch, which has no
files, comes here only when its own run left it unfinished.
"""

from collections.abc import Sequence
from contextlib import closing

from batch_assets.domain.batches import EndedBatch
from batch_assets.domain.errors import ApiError, Failure, FailureKind
from batch_assets.domain.logs import RateLimitedLogger, open_log
from batch_assets.domain.records import Lease, ResultLine
from batch_assets.openai_batch import error_codes
from batch_assets.openai_batch.results import read_results
from batch_assets.openai_batch.spool import Spool
from batch_assets.stages.completeness import Judged, ReadBatch, judge_readings
from batch_assets.stages.cooldowns import Cooldowns, NoRoom
from batch_assets.stages.copies import settle_doubt
from batch_assets.stages.downloads import Fetched, fetch_results
from batch_assets.stages.pipeline import Budget, Pipeline, rare_collections, within_budget
from batch_assets.stages.refused_batches import bisect
from batch_assets.stages.result_writer import IngestReport, ResultWriter
from batch_assets.stages.synchronous_caller import give_up_called
from batch_assets.store.registry import WorkSnapshot

log = open_log(__name__)

_RESULTS_LOST = Failure(
    FailureKind.PERMANENT, "results_lost", "The server no longer has the results of the batch."
)
_NO_LINE = Failure(
    FailureKind.TRANSIENT, "missing_result", "The results hold no line for this request."
)


@rare_collections
@within_budget
def ingest_results(
    pipeline: Pipeline, snapshot: WorkSnapshot, budget: Budget
) -> tuple[IngestReport, WorkSnapshot]:
    """Read ended batches, oldest first, until none is left or the budget is spent.

    None from what may be a copy: whose they are is decided first. Returns what there is to do then,
    too.

    Raises:
        ApiError: The server refuses the account, or, in the end, there was no room for some files;
            what was read by then stays.
    """
    report = pipeline.reports.note(IngestReport())
    if not snapshot.has_ended:
        return report, snapshot
    snapshot = settle_doubt(pipeline, snapshot)
    if not snapshot.installation.may_read:
        log.warning("No result is read. %s", snapshot.installation.hold_reason)
        return report, snapshot
    holder = pipeline.holder(snapshot.installation.id)
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
    return report, pipeline.read_snapshot()


class _Reading:
    """Reads batches that were taken together, and finalizes those that were read to their end."""

    def __init__(
        self, pipeline: Pipeline, batches: Sequence[EndedBatch], report: IngestReport
    ) -> None:
        self._pipeline = pipeline
        self._batches = batches
        self._report = report
        self._writer = ResultWriter(pipeline, batches, report)
        self._read_now: list[ReadBatch] = []
        self._limited_log = RateLimitedLogger(log)
        self._rests = Cooldowns()

    def read(self, budget: Budget) -> list[Lease]:
        """Read as far as the budget allows; the leases on batches that are not finished."""
        stopped_by = None
        try:
            stopped_by = self._read_all(budget)
            self._writer.flush()
            judged = judge_readings(self._pipeline, self._read_now, self._writer, self._limited_log)
            stopped_by = stopped_by or judged.stopped_by
            put_down = self._put_down(judged)
            finalized = self._finalize(judged)
            self._rests.begin(self._pipeline)
        except BaseException:
            self._writer.close()
            self._pipeline.queries.expire([batch.lease for batch in self._batches])
            raise
        finally:
            self._limited_log.close()
            self._writer.close()
        left = [one.lease for one in self._batches if one.id not in finalized | put_down]
        self._report.postponed += len(left) + len(put_down)
        if stopped_by is not None:
            self._pipeline.queries.expire(left)
            raise stopped_by
        return left

    def _read_all(self, budget: Budget) -> ApiError | None:
        """Read batch after batch; the error if the server refuses the account, or if there was no
        room for the files of some."""
        not_kept = None
        api = self._pipeline.api
        at_a_time = self._pipeline.policy.concurrent_companies or api.in_flight.most
        batches = [
            one
            for one in self._batches
            if not (one.is_synchronous or one.never_ran or one.is_given_up)
        ]
        with (
            Spool(self._pipeline.spool_dir) as spool,
            closing(fetch_results(api, batches, spool, at_a_time=at_a_time)) as results,
        ):
            for fetched in results:
                self._read(fetched, budget)
                error = fetched.error
                if error is not None:
                    self._limited_log.warning(
                        "Reading the results of batch %s of %s: %s",
                        fetched.batch.id,
                        fetched.batch.company or fetched.batch.company_id,
                        error,
                    )
                    if error.failure.kind is FailureKind.ACCOUNT:
                        return error
                    if error.failure.code == error_codes.NOT_KEPT:
                        not_kept = error
                if budget.is_spent:
                    break
        return not_kept

    def _read(self, fetched: Fetched, budget: Budget) -> None:
        """Take in the lines of one batch."""
        batch = fetched.batch
        lines, readable = {False: 0, True: 0}, {False: 0, True: 0}
        no_room = NoRoom(batch)
        for file in fetched.files:
            with file.path.open("rb") as opened:
                for line in read_results(opened, error_file=file.is_error_file):
                    lines[file.is_error_file] += 1
                    readable[file.is_error_file] += isinstance(line, ResultLine)
                    if not no_room.holds(line):
                        self._writer.add(batch, line)
            file.path.unlink()
        for line in no_room.judged(self._pipeline.bisection):
            self._writer.add(batch, line)
        self._rests.note(batch, no_room)
        budget.spend(sum(lines.values()))
        for file_id, failure in fetched.missing.items():
            self._limited_log.warning("Batch %s: file %s: %s", batch.id, file_id, failure.reason)
        self._read_now.append(ReadBatch(fetched, lines, readable))

    def _put_down(self, judged: Judged) -> set[str]:
        """Put down what is looked at again, with what the server has shown of it; which."""
        if judged.changed:
            self._pipeline.readings.see_again(judged.changed)
        if judged.looks:
            self._pipeline.readings.look_later(judged.looks)
        self._report.incomplete += sum(look.is_incomplete for look in judged.looks)
        return {look.lease.batch_id for look in judged.looks}

    def _finalize(self, judged: Judged) -> set[str]:
        """End the finished batches: rows without an answer fail, or wait again; which ended."""
        failing = []
        for batch in judged.finished:
            if batch.output_file_id in judged.lost:
                failing.append((batch, _RESULTS_LOST))
            elif batch.server_status == "completed":
                failing.append((batch, _NO_LINE))
        refused = [one for one in judged.finished if one.server_status == "failed"]
        refused += [one for one in self._batches if one.never_ran and not one.is_synchronous]
        synchronous = [one for one in self._batches if one.is_synchronous]
        self._writer.fail_rest(failing)
        bisect(self._pipeline, refused, self._writer)
        give_up_called(self._pipeline, synchronous, self._writer)
        if judged.completeness:
            self._pipeline.readings.note_completeness(judged.completeness)
        given_up = [one for one in self._batches if one.is_given_up]
        finished = {one.id: one for one in [*judged.finished, *refused, *synchronous, *given_up]}
        leases = [one.lease for one in finished.values() if one.id not in self._writer.unwritten]
        returned = self._pipeline.queries.finalize(leases)
        self._report.rows.returned += sum(returned.values())
        self._report.finalized += len(returned)
        finalized = [batch for batch in finished.values() if batch.id in returned]
        self._report.finalized_as.update(batch.server_status for batch in finalized)
        self._report.add_read(finalized)
        return set(returned)
