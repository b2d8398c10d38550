"""Batches that should have ended long ago: cancelled, and given up once an operator says so.

What ran of a cancelled batch was paid for and is read like any other result; the rest waits again.
One that does not end, or cannot be read, can be given up by force: what the server answers of it is
billed, and its requests are bought again. So it has to have stood still for a long time.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from batch_assets.domain.batches import InFlightBatch
from batch_assets.domain.display import span
from batch_assets.domain.errors import ApiError, BatchAssetsError, FailureKind
from batch_assets.domain.logs import RateLimitedLogger, open_log
from batch_assets.domain.lookups import BatchRecord
from batch_assets.domain.policy import Policy
from batch_assets.domain.records import RemoteBatch
from batch_assets.domain.states import BEYOND_CANCELLING, SERVER_ENDED, BatchState
from batch_assets.openai_batch.client import BatchApi
from batch_assets.stages.copies import settle_doubt
from batch_assets.stages.pipeline import Budget, Pipeline
from batch_assets.store.registry import WorkSnapshot

log = open_log(__name__)

ABOUT_TO_END: Final[frozenset[str]] = frozenset({"cancelling", "finalizing"})
"""The server's words for a batch that is about to end, in minutes as a rule."""


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
    snapshot: WorkSnapshot,
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
    with RateLimitedLogger(log) as limited_log:
        for batch in lost:
            limited_log.warning(
                "Batch %s (%s) should have ended long ago, and the server says nothing of it: is "
                "OPENAI_API_KEY one of the project that made it? If it is gone for good, "
                "`batch-assets abandon %s` gives it up",
                batch.id,
                batch.openai_batch_id,
                batch.id,
            )
    report.stuck = _name_stuck(pipeline, running)
    if not (late and settle_doubt(pipeline, snapshot).installation.may_touch):
        return report
    with RateLimitedLogger(log) as limited_log:
        cancelled = [
            batch.id
            for batch, remote in late
            if remote.status not in BEYOND_CANCELLING
            and not budget.is_spent
            and _cancel(pipeline, batch, limited_log)
        ]
    if cancelled:
        pipeline.registry.note_cancelled(cancelled)
    report.overdue_cancelled = len(cancelled)
    return report


def _name_stuck(pipeline: Pipeline, running: Iterable[tuple[InFlightBatch, RemoteBatch]]) -> int:
    """Say of which batches it is time to give them up; of how many."""
    stuck = 0
    with RateLimitedLogger(log) as limited_log:
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
            limited_log.warning(
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


def _cancel(pipeline: Pipeline, batch: InFlightBatch, limited_log: RateLimitedLogger) -> bool:
    limited_log.warning(
        "Batch %s was submitted %.0f hours ago and runs on: cancelling it",
        batch.id,
        batch.age_seconds / 3_600,
    )
    try:
        pipeline.api.cancel(batch.openai_batch_id)
    except ApiError as error:
        limited_log.warning("Batch %s cannot be cancelled now: %s", batch.id, error)
        return False
    return True


def standstill_seconds(
    status: str,
    *,
    unchanged_seconds: float,
    cancelled_seconds: float | None,
    overdue_seconds: float,
) -> float | None:
    """Measure how long a batch has been one that should have ended; `None` if it is none.

    About to end: since the server said so. Any other: since it was cancelled from here, or since it
    was overdue (not above zero before that), whichever is longer.
    """
    if status in ABOUT_TO_END:
        return unchanged_seconds
    longest = max(cancelled_seconds or 0.0, overdue_seconds)
    return longest if longest > 0 else None


@dataclass(frozen=True, slots=True)
class _Standing:
    """What is to be said of a batch after its name, and what helps as long as it is not stuck."""

    how: str
    seconds: float | None
    """For how long it should have come to its end; `None` if it need not have."""
    instead: str


def require_stuck(api: BatchApi, batch: BatchRecord, policy: Policy) -> str:
    """Describe a batch that has not come to its end for `policy.stuck_seconds`, in a clause.

    Raises:
        BatchAssetsError: It is one of another kind; what to do instead is said.
        ApiError: The account is refused.
    """
    standing = _read(batch) if batch.state == BatchState.ENDED else _asked(api, batch, policy)
    if standing.seconds is None or standing.seconds < policy.stuck_seconds:
        raise BatchAssetsError(
            f"{batch.named()} {standing.how}: {standing.instead}. If it has not come to its end "
            f"{span(policy.stuck_seconds)} from then on (BATCH_STUCK_HOURS), `batch-assets abandon "
            f"{batch.id} --force` gives it up."
        )
    return standing.how


def require_long_unresolved(batch: BatchRecord, policy: Policy) -> str:
    """Describe a batch of which it is not known for `policy.stuck_seconds` whether it was made.

    Raises:
        BatchAssetsError: It is not that long; what to do instead is said.
    """
    sought = _since(batch.claimed_at)
    if sought < policy.stuck_seconds:
        raise BatchAssetsError(
            f"Whether the server has {batch.named('batch')} is not known since {span(sought)}: "
            "the next runs look it up, with the key that it was made with. If they have not found "
            f"out {span(policy.stuck_seconds)} after it was claimed (BATCH_STUCK_HOURS), "
            f"`batch-assets abandon {batch.id} --force` gives it up."
        )
    return f"was claimed {span(sought)} ago, and whether the server has it could not be found out"


def _read(batch: BatchRecord) -> _Standing:
    """One whose results are still to be read."""
    ended = _since(batch.ended_at)
    return _Standing(
        f"ended {span(ended)} ago, and could not be read to its end",
        ended,
        "the next runs try that again",
    )


def _asked(api: BatchApi, batch: BatchRecord, policy: Policy) -> _Standing:
    """One that is on the server, by what the server says of it now."""
    overdue = _since(batch.submitted_at) - policy.batch_timeout_seconds
    try:
        status = api.retrieve(batch.openai_batch_id or "").status
    except ApiError as error:
        if error.failure.kind is FailureKind.ACCOUNT:
            raise
        how = f"is one of which the server says nothing ({error})"
        return _Standing(_after(how, overdue), overdue, "ask again when the API is well")
    if status in SERVER_ENDED:
        raise BatchAssetsError(
            f"{batch.named()} is {status} on the server: the next run reads it, and nothing is to "
            "be given up."
        )
    unchanged = _since(batch.server_status_since) if status == batch.server_status else 0.0
    cancelled = _since(batch.cancelled_at) if batch.cancelled_at is not None else None
    seconds = standstill_seconds(
        status,
        unchanged_seconds=unchanged,
        cancelled_seconds=cancelled,
        overdue_seconds=overdue,
    )
    again = f"`batch-assets cancel {batch.id}` asks the server again to end it"
    if status in ABOUT_TO_END:
        return _Standing(f"has been {status} on the server for {span(unchanged)}", unchanged, again)
    if cancelled is not None:
        how = f"is {status} on the server, {span(cancelled)} after it was cancelled"
        return _Standing(how, seconds, again)
    how = _after(f"is {status} on the server", overdue)
    if not batch.is_ours:
        return _Standing(how, seconds, "it is not ours, and only looked at until it ends")
    ends = f"`batch-assets cancel {batch.id}` ends it, and keeps what has run"
    return _Standing(how, seconds, ends)


def _after(how: str, overdue: float) -> str:
    return f"{how}, {span(overdue)} after its time was up" if overdue > 0 else how


def _since(moment: datetime | None) -> float:
    return 0.0 if moment is None else (datetime.now(UTC) - moment).total_seconds()
