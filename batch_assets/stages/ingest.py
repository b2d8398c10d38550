"""Results of ended batches back into rows: both files, streamed, a set of lines at a time.

A batch that was begun and not finished is read again from its start: a row whose attempt has ended
is left as it is. Expired, cancelled and partly failed batches are read like completed ones.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice

from batch_assets.domain.batches import EndedBatch, Written
from batch_assets.domain.failures import ApiError, Failure, FailureKind
from batch_assets.domain.money import Price
from batch_assets.domain.records import Lease, ResultLine, RowOutcome
from batch_assets.openai_batch import codes
from batch_assets.openai_batch.results import BrokenLine, read_results
from batch_assets.stages.leases import LeaseKeeper
from batch_assets.stages.outcomes import LineReader
from batch_assets.stages.pipeline import Budget, Pipeline
from batch_assets.stages.pricing import price_finder

log = logging.getLogger(__name__)

_RESULTS_LOST = Failure(
    FailureKind.PERMANENT, "results_lost", "The server no longer has the results of the batch."
)
_NO_LINE = Failure(
    FailureKind.TRANSIENT, "missing_result", "The results hold no line for this request."
)


@dataclass(slots=True)
class IngestReport:
    """What one run read and wrote."""

    settled: int = 0
    """Batches that are finished."""
    postponed: int = 0
    """Batches that could not be read to their end; a later run reads them again."""
    rows: Written = field(default_factory=Written)
    refused: Counter[str] = field(default_factory=Counter)
    """Lines that belong to no open row of their batch, by what is wrong with them."""
    failures: Counter[str] = field(default_factory=Counter)
    """Failed rows by code."""


def ingest_results(pipeline: Pipeline, budget: Budget) -> IngestReport:
    """Read ended batches, oldest first, until none is left or the budget is spent.

    Raises ApiError when the server refuses the account; what was written by then stays.
    """
    report = IngestReport()
    ingestion = _Ingestion(pipeline, report)
    postponed: list[Lease] = []
    installation = pipeline.registry.installation()
    try:
        while not budget.is_spent:
            batches = pipeline.queries.take_ended(pipeline.holder(installation.id), limit=1)
            if not batches:
                break
            postponed += [batch.lease for batch in batches if not ingestion.read(batch, budget)]
    finally:
        pipeline.queries.expire(postponed)
    report.postponed = len(postponed)
    return report


class _Ingestion:
    """Reads one batch after the other into rows."""

    def __init__(self, pipeline: Pipeline, report: IngestReport) -> None:
        self._pipeline = pipeline
        self._queries = pipeline.queries
        self._report = report

    @cached_property
    def _price_of(self) -> Callable[[str], Price | None]:
        """Asked for with the first batch: most runs have nothing to read."""
        return price_finder(self._queries)

    def read(self, batch: EndedBatch, budget: Budget) -> bool:
        """Read a batch to its end and settle it; whether that was possible."""
        seconds = self._pipeline.policy.lease_seconds
        keeper = LeaseKeeper(self._queries, [batch.lease], seconds)
        reader = LineReader(batch, self._price_of, self._pipeline.policy.usd_to_eur)
        read = 0
        lost: list[str] = []
        try:
            for lines in _in_sets(self._lines(batch, lost), self._pipeline.policy.rows_per_write):
                budget.spend(len(lines))
                read += len(lines)
                if not keeper.holds(batch.lease) or not self._write(reader, lines):
                    return False
            if self._may_be_cut(batch, read):
                return False
        except ApiError as error:
            log.warning("Reading the results of batch %s: %s", batch.id, error)
            if error.failure.kind is FailureKind.ACCOUNT:
                self._queries.expire([batch.lease])
                raise
            return False
        is_lost = batch.output_file_id in lost
        return self._settle(batch, _RESULTS_LOST if is_lost else _failure_of_the_rest(batch))

    def _may_be_cut(self, batch: EndedBatch, read: int) -> bool:
        """Fewer lines than the server says it made, and not for long enough to believe them."""
        grace = self._pipeline.policy.absence_grace_seconds
        is_cut = read < batch.server_answered and batch.ended_seconds < grace
        if is_cut:
            log.warning(
                "Batch %s: %d lines of %d could be read", batch.id, read, batch.server_answered
            )
        return is_cut

    def _lines(self, batch: EndedBatch, lost: list[str]) -> Iterator[ResultLine | BrokenLine]:
        """The lines of both files; the ids of those that the server no longer has go to `lost`."""
        files = ((batch.output_file_id, False), (batch.error_file_id, True))
        for file_id, is_error_file in files:
            if file_id is None:
                continue
            download = self._pipeline.api.download(file_id)
            try:
                yield from read_results(download, error_file=is_error_file)
            except ApiError as error:
                if error.failure.code != codes.NOT_FOUND:
                    raise
                log.warning("Batch %s has lost its file %s", batch.id, file_id)
                lost.append(file_id)

    def _write(self, reader: LineReader, lines: Iterable[ResultLine | BrokenLine]) -> bool:
        batch = reader.batch
        refused = Counter(line.code for line in lines if isinstance(line, BrokenLine))
        whole = [line for line in lines if isinstance(line, ResultLine)]
        types = self._queries.rows_of(batch.id, [line.custom_id for line in whole])
        refused["foreign"] += sum(line.custom_id not in types for line in whole)
        outcomes = [
            reader.outcome(line, types[line.custom_id]) for line in whole if line.custom_id in types
        ]
        self._report.refused.update(+refused)
        return self._apply(batch.lease, outcomes, refused.total())

    def _apply(self, lease: Lease, outcomes: list[RowOutcome], refused: int = 0) -> bool:
        written = self._queries.write_results(lease, outcomes, refused, self._pipeline.policy)
        if written is None:
            return False
        self._report.rows += written
        self._report.refused.update(written.refused)
        self._report.failures.update(
            outcome.failure.code for outcome in outcomes if outcome.failure is not None
        )
        return True

    def _settle(self, batch: EndedBatch, rest: Failure | None) -> bool:
        """End the batch: rows without an answer fail with `rest`, or wait again without it."""
        size = self._pipeline.policy.rows_per_write
        while rest is not None and (open_rows := self._queries.open_rows(batch.id, size)):
            outcomes = [RowOutcome(request_id, failure=rest) for request_id in open_rows]
            if not self._apply(batch.lease, outcomes):
                return False
        returned = self._queries.settle(batch.lease)
        if returned is None:
            return False
        self._report.rows.returned += returned
        self._report.settled += 1
        return True


def _failure_of_the_rest(batch: EndedBatch) -> Failure | None:
    """What rows without a line have met; `None` if they were never tried and may simply wait."""
    if batch.server_status == "completed":
        return _NO_LINE
    if batch.server_status != "failed":
        return None
    failures = [
        codes.row_failure(None, codes.ErrorDetails(code=code)) for code in batch.server_errors
    ]
    if any(failure.kind in {FailureKind.CAPACITY, FailureKind.ACCOUNT} for failure in failures):
        return None
    named = ", ".join(batch.server_errors) or "no code"
    return Failure(
        FailureKind.TRANSIENT, "batch_refused", f"The server refused the whole batch ({named})."
    )


def _in_sets(
    lines: Iterator[ResultLine | BrokenLine], size: int
) -> Iterator[list[ResultLine | BrokenLine]]:
    while some := list(islice(lines, size)):
        yield some
