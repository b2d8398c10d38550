"""Batches that should have ended long ago: cancelled, so that what is left of them is sent again.

What ran of a cancelled batch was paid for and is read like any other result; the rest waits again.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from batch_assets.domain.batches import InFlightBatch
from batch_assets.domain.failures import ApiError
from batch_assets.domain.logs import open_log
from batch_assets.domain.records import RemoteBatch
from batch_assets.domain.standstill import standstill_seconds
from batch_assets.domain.states import BEYOND_CANCELLING, SERVER_ENDED
from batch_assets.domain.wording import span
from batch_assets.stages.doubts import may_touch
from batch_assets.stages.pipeline import Budget, Pipeline
from batch_assets.stages.saying import Few

log = open_log(__name__)


@dataclass(slots=True)
class OverdueReport:
    """What one run saw of batches that were submitted before the time limit."""

    overdue: int = 0
    overdue_cancelled: int = 0
    """Those that the server was asked to end now."""
    stuck: int = 0
    """Batches that do not end, whatever is asked: an operator can give them up."""


def cancel_overdue(
    pipeline: Pipeline,
    seen: Iterable[tuple[InFlightBatch, RemoteBatch]],
    unseen: Sequence[InFlightBatch],
    budget: Budget,
) -> OverdueReport:
    """Cancel batches of ours that run on after `policy.batch_timeout_seconds`.

    Not those of LiveDash or of the database that this one is a copy of. `unseen` are batches of
    which the server did not tell anything: they are named, and stay as they are. So are those that
    stand still for `policy.stuck_seconds`.
    """
    report = OverdueReport()
    running = [(batch, remote) for batch, remote in seen if remote.status not in SERVER_ENDED]
    late = [(batch, remote) for batch, remote in running if _is_late(pipeline, batch)]
    lost = [batch for batch in unseen if _is_late(pipeline, batch)]
    report.overdue = len(late) + len(lost)
    with Few(log) as few:
        for batch in lost:
            few.warning(
                "Batch %s (%s) should have ended long ago, and the server says nothing of it: is "
                "OPENAI_API_KEY one of the project that made it? If it is gone for good, "
                "`batch-assets abandon %s` gives it up",
                batch.id,
                batch.openai_batch_id,
                batch.id,
            )
    report.stuck = _name_stuck(pipeline, running)
    if not (late and may_touch(pipeline)):
        return report
    with Few(log) as few:
        cancelled = [
            batch.id
            for batch, remote in late
            if remote.status not in BEYOND_CANCELLING
            and not budget.is_spent
            and _cancel(pipeline, batch, few)
        ]
    if cancelled:
        pipeline.registry.note_cancelled(cancelled)
    report.overdue_cancelled = len(cancelled)
    return report


def _name_stuck(pipeline: Pipeline, running: Iterable[tuple[InFlightBatch, RemoteBatch]]) -> int:
    """Say of which batches it is time to give them up; of how many."""
    stuck = 0
    with Few(log) as few:
        for batch, remote in running:
            seconds = standstill_seconds(
                remote.status,
                unchanged_seconds=(
                    batch.unchanged_seconds if remote.status == batch.server_status else 0.0
                ),
                cancelled_seconds=batch.cancelled_seconds,
                overdue_seconds=batch.age_seconds - pipeline.policy.batch_timeout_seconds,
            )
            if seconds is None or seconds < pipeline.policy.stuck_seconds:
                continue
            stuck += 1
            few.warning(
                "Batch %s (%s) is %s and should have ended %s ago: `batch-assets abandon %s "
                "--force --dry-run` says what it costs to give it up",
                batch.id,
                batch.openai_batch_id,
                remote.status,
                span(seconds),
                batch.id,
            )
    return stuck


def _is_late(pipeline: Pipeline, batch: InFlightBatch) -> bool:
    return batch.is_ours and batch.age_seconds > pipeline.policy.batch_timeout_seconds


def _cancel(pipeline: Pipeline, batch: InFlightBatch, few: Few) -> bool:
    few.warning(
        "Batch %s was submitted %.0f hours ago and runs on: cancelling it",
        batch.id,
        batch.age_seconds / 3_600,
    )
    try:
        pipeline.api.cancel(batch.openai_batch_id)
    except ApiError as error:
        few.warning("Batch %s cannot be cancelled now: %s", batch.id, error)
        return False
    return True
