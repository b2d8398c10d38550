"""What batches bring that were given up: their answers are read, and what they cost is waste.

Their requests wait again, or were answered by another batch long ago: so no answer is used. But it
was billed, and is priced and booked. Such a batch is looked at with pauses that grow, until it has
been read to its end or nothing can be expected of it; one that runs on is cancelled.
"""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass

from batch_assets.domain.errors import ApiError, FailureKind
from batch_assets.domain.logs import RateLimitedLogger, open_log
from batch_assets.domain.money import batch_cost
from batch_assets.domain.records import RemoteBatch, ResultLine
from batch_assets.domain.states import BEYOND_CANCELLING, SERVER_ENDED
from batch_assets.openai_batch import error_codes
from batch_assets.openai_batch.prices import price_of_answer
from batch_assets.openai_batch.results import read_results
from batch_assets.stages.copies import settle_doubt
from batch_assets.stages.pipeline import Budget, Pipeline, within_budget
from batch_assets.store.installation import Installation
from batch_assets.store.readings import LOOKED_FOR_DAYS, AbandonedBatch, Late
from batch_assets.store.registry import WorkSnapshot

log = open_log(__name__)

_LOOKS_A_RUN = 20


@dataclass(slots=True)
class AbandonedReport:
    """What one run saw of batches that were given up."""

    abandoned_looked_at: int = 0
    abandoned_read: int = 0
    """Those of them that had ended all the same, and were read to their end."""
    abandoned_cancelled: int = 0
    """Those that ran on, and that the server was asked to end."""
    late_answers: int = 0
    """Answers of theirs that were not known before."""
    wasted_abandoned_eur: float = 0.0
    """What these have cost."""


@within_budget
def read_abandoned(
    pipeline: Pipeline, snapshot: WorkSnapshot, budget: Budget, *, whenever: bool = False
) -> AbandonedReport:
    """Look at batches that were given up and are due, or `whenever` they are, and book their cost.

    What the server does not tell now is asked for again after a pause.
    """
    report = pipeline.reports.note(AbandonedReport())
    if not (whenever or snapshot.has_abandoned):
        return report
    installation = settle_doubt(pipeline, snapshot).installation
    if not installation.may_read:
        return report
    with RateLimitedLogger(log) as limited_log:
        reading = _Reading(pipeline, installation, report, limited_log)
        for batch in pipeline.abandoned.take(_LOOKS_A_RUN, whenever=whenever):
            if budget.is_spent:
                break
            try:
                reading.look(batch)
            except ApiError as error:
                limited_log.warning("Looking for abandoned batch %s: %s", batch.batch_id, error)
                if error.failure.kind is FailureKind.ACCOUNT:
                    break
    return report


class _Reading:
    """Looks at one abandoned batch after the other."""

    def __init__(
        self,
        pipeline: Pipeline,
        installation: Installation,
        report: AbandonedReport,
        limited_log: RateLimitedLogger,
    ) -> None:
        self._pipeline = pipeline
        self._report = report
        self._limited_log = limited_log
        self._may_touch = installation.may_touch and installation.is_confirmed

    def look(self, batch: AbandonedBatch) -> None:
        """Read the batch if it has ended, and see that it ends if it has not."""
        self._report.abandoned_looked_at += 1
        remote = self._retrieved(batch)
        if remote is None:
            return
        if remote.status not in SERVER_ENDED:
            self._cancel(batch, remote)
            return
        rows = self._pipeline.abandoned.rows(batch.batch_id)
        lines = _Lines(self._pipeline, batch, rows)
        error = lines.read(remote)
        is_read = lines.is_whole(remote)
        new = self._pipeline.abandoned.book(batch.batch_id, lines.late, is_read=is_read)
        self._report.late_answers += new.answers
        self._report.wasted_abandoned_eur += new.cost_eur
        if new.answers:
            self._limited_log.warning(
                "Batch %s had been given up and was %s all the same: %d answers were billed, "
                "%.4f EUR, and are of no use any more",
                batch.batch_id,
                remote.status,
                new.answers,
                new.cost_eur,
            )
        if is_read:
            self._report.abandoned_read += 1
            self._delete(batch, remote)
        elif error is not None:
            raise error

    def _retrieved(self, batch: AbandonedBatch) -> RemoteBatch | None:
        """What the server says of it; `None` if it does not know it (any more)."""
        try:
            return self._pipeline.api.retrieve(batch.openai_batch_id)
        except ApiError as error:
            if error.failure.code != error_codes.NOT_FOUND:
                raise
        if batch.is_last:
            log.info(
                "Batch %s was given up %d days ago and never came back: it is looked for no more",
                batch.batch_id,
                LOOKED_FOR_DAYS,
            )
        return None

    def _cancel(self, batch: AbandonedBatch, remote: RemoteBatch) -> None:
        if batch.is_ours and self._may_touch and remote.status not in BEYOND_CANCELLING:
            self._pipeline.api.cancel(batch.openai_batch_id)
            self._report.abandoned_cancelled += 1

    def _delete(self, batch: AbandonedBatch, remote: RemoteBatch) -> None:
        """Delete what was read; the input file went when the requests had left the batch."""
        if not (batch.is_ours and self._may_touch):
            return
        for file_id in (remote.output_file_id, remote.error_file_id):
            if file_id is not None:
                self._pipeline.api.delete_file(file_id)


class _Lines:
    """The result lines of an abandoned batch, of which nothing is kept but what they cost."""

    def __init__(self, pipeline: Pipeline, batch: AbandonedBatch, rows: Mapping[str, bool]) -> None:
        self._pipeline = pipeline
        self._batch = batch
        self._rows = rows
        self._read: set[str] = set()
        self._answers = 0
        self._cost_eur = 0.0
        self._cost_usd = 0.0

    @property
    def late(self) -> Late:
        """What was read by now and had not been read before the batch was given up."""
        return Late(self._answers, self._cost_eur, self._cost_usd)

    def read(self, remote: RemoteBatch) -> ApiError | None:
        """Read both files, a line at a time; why one of them could not be read to its end."""
        files = ((remote.output_file_id, False), (remote.error_file_id, True))
        stopped_by = None
        for file_id, is_error_file in files:
            if file_id is None:
                continue
            try:
                with closing(self._pipeline.api.download(file_id)) as lines:
                    for line in read_results(lines, error_file=is_error_file):
                        if isinstance(line, ResultLine):
                            self._count(line)
            except ApiError as error:
                stopped_by = error
        return stopped_by

    def is_whole(self, remote: RemoteBatch) -> bool:
        """Whether each row that the server counts was read; without counts, each that there is.

        A batch that the server refused has no row to be read.
        """
        if remote.status == "failed" and not remote.has_files:
            return True
        counted = remote.completed + remote.failed
        return len(self._read) >= (counted or len(self._rows))

    def _count(self, line: ResultLine) -> None:
        if line.request_id in self._read or line.request_id not in self._rows or not line.answered:
            return
        self._read.add(line.request_id)
        if not self._rows[line.request_id] or line.response is None:
            return
        self._answers += 1
        price = self._batch.price
        if price is None:
            price = price_of_answer(line.response, self._batch.model, self._pipeline.price_of)
        usd_to_eur = self._pipeline.policy.usd_to_eur
        cost = batch_cost(line.response.usage, price, usd_to_eur)
        self._cost_eur += cost.eur
        self._cost_usd += cost.usd
