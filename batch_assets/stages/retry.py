"""Failed requests whose time has come wait again, for the next batch at half the price."""

from dataclasses import dataclass

from batch_assets.stages.pipeline import Budget, Pipeline


@dataclass(slots=True)
class RetryReport:
    """What one run requeued."""

    requeued: int = 0


def requeue_due(pipeline: Pipeline, budget: Budget) -> RetryReport:
    """Requeue what is due, in bounded steps, until nothing is left or the budget is spent."""
    report = pipeline.figures.note(RetryReport())
    if not pipeline.glance.has_due_retries:
        return report
    while not budget.is_spent:
        most = min(pipeline.policy.rows_per_write, budget.rows)
        requeued = pipeline.queries.requeue_due(most)
        if not requeued:
            break
        report.requeued += requeued
        budget.spend(requeued)
    return report
