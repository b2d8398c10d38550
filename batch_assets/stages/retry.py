"""Failed requests whose time has come: for the next batch at half the price, or synchronously.

What can go by flex is left to the runs that do so, see `flex`, until it has waited long enough.
"""

from dataclasses import dataclass, field

from batch_assets.domain.errors import ApiError
from batch_assets.domain.logs import RateLimitedLogger, open_log
from batch_assets.domain.policy import NO_WAIT, FlexWait, Tier
from batch_assets.stages.copies import settle_doubt
from batch_assets.stages.pipeline import Budget, Pipeline
from batch_assets.stages.synchronous_requests import (
    SynchronousReport,
    send_synchronously,
    what_waits_for_flex,
)
from batch_assets.store.registry import WorkSnapshot
from batch_assets.store.synchronous_requests import SynchronousLot

log = open_log(__name__)


@dataclass(slots=True)
class RetryReport:
    """What one run requeued, and what it sent synchronously."""

    requeued: int = 0
    synchronous: SynchronousReport = field(default_factory=SynchronousReport)


def retry_failed(pipeline: Pipeline, snapshot: WorkSnapshot, budget: Budget) -> RetryReport:
    """Send synchronously what must not wait, in half of the time, and requeue what else is due.

    Raises:
        ApiError: The server refuses the account; what is due waits again all the same.
    """
    sent = SynchronousReport()
    flex = what_waits_for_flex(pipeline, snapshot)
    try:
        half = Budget(budget.seconds / 2, budget.rows)
        send_synchronously(pipeline, snapshot, half, sent, SynchronousLot(Tier.FULL, flex))
    finally:
        report = requeue_due(pipeline, snapshot, budget, flex)
    report.synchronous = sent
    return report


def requeue_due(
    pipeline: Pipeline, snapshot: WorkSnapshot, budget: Budget, flex: FlexWait = NO_WAIT
) -> RetryReport:
    """Requeue what is due, in bounded steps, until nothing is left or the budget is spent.

    What waits for flex is not. While it is drained, all that waits here is sent back at once.
    """
    report = pipeline.reports.note(RetryReport())
    if snapshot.installation.drain is not None:
        report.requeued = send_back(pipeline, snapshot)
        return report
    if not snapshot.has_due_retries:
        return report
    while not budget.is_spent:
        most = min(pipeline.policy.rows_per_write, budget.rows)
        requeued = pipeline.queries.requeue_due(most, flex)
        if not requeued:
            break
        report.requeued += requeued
        budget.spend(requeued)
    return report


def send_back(pipeline: Pipeline, snapshot: WorkSnapshot) -> int:
    """Let requests wait for a batch that are in none, or in one that was never asked for; how many.

    For while it is drained: nothing is claimed any more, so what is put off, follows another
    request or waits for its input file to be processed would wait for good. One statement, if no
    batch waits for its file.
    """
    returned = _release_pending(pipeline, snapshot) if snapshot.has_pending_files else 0
    return returned + pipeline.drains.send_back()


def _release_pending(pipeline: Pipeline, snapshot: WorkSnapshot) -> int:
    """No batch was made of these files, and none will be."""
    installation = settle_doubt(pipeline, snapshot).installation
    if not installation.may_touch:
        return 0
    holder = pipeline.holder(installation.id)
    pending = pipeline.pending_files.take(holder, pipeline.policy.batches_per_claim)
    with RateLimitedLogger(log) as limited_log:
        for one in pending:
            try:
                pipeline.api.delete_file(one.input_file_id)
            except ApiError as error:
                limited_log.warning(
                    "The input file of batch %s is deleted later: %s", one.batch.id, error
                )
    return pipeline.queries.release([one.batch.lease for one in pending])
