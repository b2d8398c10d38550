"""How a batch stands that an operator wants to give up by force, and what to do instead.

By force is the way out of a batch that does not end, or cannot be read: what the server answers of
it is billed, and its requests are bought again. So it has to have stood still for a long time.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from batch_assets.domain.errors import BatchAssetsError
from batch_assets.domain.failures import ApiError, FailureKind
from batch_assets.domain.lookups import BatchRecord
from batch_assets.domain.policy import Policy
from batch_assets.domain.standstill import BETWEEN, standstill_seconds
from batch_assets.domain.states import SERVER_ENDED, BatchState
from batch_assets.domain.wording import span
from batch_assets.openai_batch.client import BatchApi
from batch_assets.stages.controls.cancel import named


@dataclass(frozen=True, slots=True)
class _Standing:
    """What is to be said of a batch after its name, and what helps as long as it is not stuck."""

    how: str
    seconds: float | None
    """For how long it should have come to its end; `None` if it need not have."""
    instead: str


def require_stuck(api: BatchApi, batch: BatchRecord, policy: Policy) -> str:
    """How a batch stands that has not come to its end for `policy.stuck_seconds`.

    Raises `BatchAssetsError`, which says what to do instead, if it is one of another kind, and
    `ApiError` if the account is refused.
    """
    standing = _read(batch) if batch.state == BatchState.ENDED else _asked(api, batch, policy)
    if standing.seconds is None or standing.seconds < policy.stuck_seconds:
        raise BatchAssetsError(
            f"{named(batch)} {standing.how}: {standing.instead}. If it has not come to its end "
            f"{span(policy.stuck_seconds)} from then on (BATCH_STUCK_HOURS), `batch-assets abandon "
            f"{batch.id} --force` gives it up."
        )
    return standing.how


def require_long_unresolved(batch: BatchRecord, policy: Policy) -> str:
    """How a batch stands of which it is not known for `policy.stuck_seconds` whether it was made.

    Raises `BatchAssetsError`, which says what to do instead.
    """
    sought = _since(batch.claimed_at)
    if sought < policy.stuck_seconds:
        raise BatchAssetsError(
            f"Whether the server has {named(batch, 'batch')} is not known since {span(sought)}: "
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
            f"{named(batch)} is {status} on the server: the next run reads it, and nothing is to "
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
    if status in BETWEEN:
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
