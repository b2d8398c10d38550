"""The server's word on the batches in flight. A call that fails changes nothing about a batch."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from batch_assets.domain.batches import InFlightBatch
from batch_assets.domain.failures import FailureKind
from batch_assets.domain.records import RemoteBatch
from batch_assets.domain.states import SERVER_ENDED
from batch_assets.openai_batch.error_codes import MODEL_NOT_FOUND, Refusal, refusal
from batch_assets.stages.asking import SINGLE_CALLS, Asked
from batch_assets.stages.overdue import OverdueReport, cancel_overdue
from batch_assets.stages.pipeline import Budget, Pipeline, within_budget
from batch_assets.stages.resting import rest_all


@dataclass(slots=True)
class PollReport:
    """What one run saw of the batches in flight."""

    in_flight: int = 0
    oldest_batch_seconds: float = 0.0
    """Since the oldest of them was submitted."""
    ended: int = 0
    changed: int = 0
    unseen: int = 0
    """Batches of which this run learned nothing; they stay as they are."""
    unknown: int = 0
    """Those of them of which the server says that it does not know them."""
    late: OverdueReport = field(default_factory=OverdueReport)


@within_budget
def check_statuses(pipeline: Pipeline, budget: Budget) -> PollReport:
    """Ask the server for all batches in flight and keep what it says.

    Raises ApiError when the server refuses the account, or could not be asked about any batch.
    """
    if not pipeline.snapshot.has_in_flight:
        return PollReport()
    batches = pipeline.queries.batches_in_flight(pipeline.policy.batches_per_poll)
    asked = Asked(pipeline.api, budget)
    asked.ask(batches)
    pairs = [
        (batch, asked.seen[batch.openai_batch_id])
        for batch in batches
        if batch.openai_batch_id in asked.seen
    ]
    # What of its results is not there yet is waited for by whoever reads them.
    ended = frozenset(batch.id for batch, remote in pairs if remote.status in SERVER_ENDED)
    changed = pipeline.queries.record_statuses(pairs, ended)
    if len(batches) > SINGLE_CALLS and asked.looked_at:
        pipeline.registry.note_retrieved(asked.looked_at)
    if ended:
        pipeline.refresh()
    _rest(pipeline, pairs)
    unseen = [batch for batch in batches if batch.openai_batch_id not in asked.seen]
    late = cancel_overdue(pipeline, pairs, unseen, budget)
    if asked.error is not None and (not pairs or asked.error.failure.kind is FailureKind.ACCOUNT):
        raise asked.error
    return PollReport(
        in_flight=len(batches) - len(ended),
        oldest_batch_seconds=max(
            (batch.age_seconds for batch in batches if batch.id not in ended), default=0.0
        ),
        ended=len(ended),
        changed=changed,
        unseen=len(unseen),
        unknown=asked.unknown,
        late=late,
    )


def _rest(pipeline: Pipeline, pairs: Iterable[tuple[InFlightBatch, RemoteBatch]]) -> None:
    """Let rest what the server refused batches for: models, or the account."""
    models: dict[str, str] = {}
    account = None
    for batch, remote in pairs:
        for error in remote.errors if batch.is_ours else ():
            meaning = refusal(error)
            if meaning is Refusal.ACCOUNT:
                account = error.code
            elif batch.model is not None and (
                meaning is Refusal.NO_ROOM or error.code == MODEL_NOT_FOUND
            ):
                models[batch.model] = error.code
    rest_all(pipeline, models, account)
