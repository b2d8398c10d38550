"""The server's word on the batches in flight. A call that fails changes nothing about a batch."""

import logging
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from batch_assets.domain.batches import InFlightBatch
from batch_assets.domain.failures import ApiError, FailureKind
from batch_assets.domain.records import RemoteBatch
from batch_assets.domain.states import SERVER_ENDED
from batch_assets.openai_batch import codes
from batch_assets.openai_batch.client import BatchApi
from batch_assets.stages.listing import CLOCK_MARGIN
from batch_assets.stages.overdue import OverdueReport, cancel_overdue
from batch_assets.stages.pipeline import Budget, Pipeline
from batch_assets.stages.saying import Few

log = logging.getLogger(__name__)

_SINGLE_CALLS = 3
"""Up to this many batches are asked for one by one; for more, a page of the list is cheaper."""

"""How far the server's clock and ours may be apart."""

_NO_ROOM = "token_limit_exceeded"


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


def check_statuses(pipeline: Pipeline, budget: Budget) -> PollReport:
    """Ask the server for all batches in flight and keep what it says.

    Raises ApiError when the server refuses the account, or could not be asked about any batch.
    """
    if not pipeline.glance.has_in_flight:
        return PollReport()
    batches = pipeline.queries.batches_in_flight(pipeline.policy.batches_per_poll)
    asked = _Asked(pipeline.api, budget)
    if len(batches) > _SINGLE_CALLS:
        asked.list(batches)
    if asked.error is None:
        asked.one_by_one(batches)
    pairs = [
        (batch, asked.seen[batch.openai_batch_id])
        for batch in batches
        if batch.openai_batch_id in asked.seen
    ]
    ended = frozenset(batch.id for batch, remote in pairs if _has_ended(pipeline, batch, remote))
    changed = pipeline.queries.record_statuses(pairs, ended)
    if ended:
        pipeline.look_again()
    _rest_full_models(pipeline, pairs)
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


class _Asked:
    """What the server said of some batches, by its own ids, and the last call that failed."""

    def __init__(self, api: BatchApi, budget: Budget) -> None:
        self.seen: dict[str, RemoteBatch] = {}
        self.error: ApiError | None = None
        self.unknown = 0
        """How many it does not know."""
        self._api = api
        self._budget = budget
        self._few = Few(log)

    def list(self, batches: Sequence[InFlightBatch]) -> None:
        """Look for them in the server's list, from the newest down to the oldest of them."""
        wanted = {batch.openai_batch_id for batch in batches}
        oldest = min(batch.submitted_at for batch in batches) - CLOCK_MARGIN
        try:
            for remote in self._api.list_batches(created_after=oldest):
                if remote.id in wanted:
                    self.seen[remote.id] = remote
                if len(self.seen) == len(wanted) or self._budget.is_spent:
                    break
        except ApiError as error:
            log.warning("Listing the batches: %s", error)
            self.error = error

    def one_by_one(self, batches: Sequence[InFlightBatch]) -> None:
        """Ask for those that were not seen yet."""
        for batch in batches:
            if batch.openai_batch_id in self.seen:
                continue
            if self._budget.is_spent:
                break
            try:
                self.seen[batch.openai_batch_id] = self._api.retrieve(batch.openai_batch_id)
            except ApiError as error:
                self._few.warning("Asking for batch %s: %s", batch.id, error)
                # One that the server does not know, made with another key perhaps, stays as it is
                # and keeps no other from being read.
                if error.failure.code == codes.NOT_FOUND:
                    self.unknown += 1
                    continue
                self.error = error
                if error.failure.kind is FailureKind.ACCOUNT:
                    break
        self._few.close()


def _has_ended(pipeline: Pipeline, batch: InFlightBatch, remote: RemoteBatch) -> bool:
    """Whether results can be read now. Completed batches may lack their file ids for a while."""
    if remote.status not in SERVER_ENDED:
        return False
    if remote.status != "completed" or remote.has_files:
        return True
    waited = datetime.now(UTC) - batch.status_since
    return (
        batch.server_status == "completed"
        and waited.total_seconds() > pipeline.policy.absence_grace_seconds
    )


def _rest_full_models(
    pipeline: Pipeline, pairs: Iterable[tuple[InFlightBatch, RemoteBatch]]
) -> None:
    """Let models rest for which the server had too many tokens enqueued already."""
    full = {
        batch.model
        for batch, remote in pairs
        if batch.model is not None and any(error.code == _NO_ROOM for error in remote.errors)
    }
    for model in sorted(full):
        seconds = pipeline.policy.model_rest_seconds(None, random.SystemRandom())
        pipeline.registry.pause_model(model, seconds, _NO_ROOM)
