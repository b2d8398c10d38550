"""Failed requests whose time has come: for the next batch at half the price, or live."""

from dataclasses import dataclass, field

from batch_assets.stages.draining import send_back
from batch_assets.stages.live import LiveReport, send_live
from batch_assets.stages.pipeline import Budget, Pipeline


@dataclass(slots=True)
class RetryReport:
    """What one run requeued, and what it sent live."""

    requeued: int = 0
    live: LiveReport = field(default_factory=LiveReport)


def retry_failed(pipeline: Pipeline, budget: Budget) -> RetryReport:
    """Send live what must not wait for a batch, in half of the time, and requeue what else is due.

    Raises ApiError when the server refuses the account; what is due waits again all the same.
    """
    live = LiveReport()
    try:
        send_live(pipeline, Budget(budget.seconds / 2, budget.rows), live)
    finally:
        report = requeue_due(pipeline, budget)
    report.live = live
    return report


def requeue_due(pipeline: Pipeline, budget: Budget) -> RetryReport:
    """Requeue what is due, in bounded steps, until nothing is left or the budget is spent.

    While it is drained, all that waits here is sent back at once.
    """
    report = pipeline.figures.note(RetryReport())
    if pipeline.snapshot.installation.drain is not None:
        report.requeued = send_back(pipeline)
        return report
    if not pipeline.snapshot.has_due_retries:
        return report
    while not budget.is_spent:
        most = min(pipeline.policy.rows_per_write, budget.rows)
        requeued = pipeline.queries.requeue_due(most)
        if not requeued:
            break
        report.requeued += requeued
        budget.spend(requeued)
    return report
