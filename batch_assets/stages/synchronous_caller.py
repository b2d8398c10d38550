"""Synchronous requests of claimed batches: mark some, commit, call them in parallel, record.

And what is left of them if their run has ended in the middle of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from batch_assets import analysis
from batch_assets.domain.batches import BatchRow, EndedBatch, SynchronousBatch
from batch_assets.domain.errors import ApiError, Failure, FailureKind
from batch_assets.domain.logs import RateLimitedLogger, open_log
from batch_assets.domain.policy import Tier
from batch_assets.domain.records import Conversation, ResultLine
from batch_assets.stages.concurrency import LeaseKeeper, run_per_key
from batch_assets.stages.pipeline import Budget, Pipeline
from batch_assets.stages.remote_ids import call_id
from batch_assets.stages.result_writer import IngestReport, ResultWriter

log = open_log(__name__)

INDETERMINATE: Final = "indeterminate_live"
"""The code of a request of which nobody knows whether it was answered and paid for."""

_STOPPING = frozenset({FailureKind.ACCOUNT, FailureKind.INDETERMINATE, FailureKind.TRANSIENT})
"""The server is not well, or refuses the account: the next call would fare no better."""

_MOST_A_ROUND = 10
"""Calls whose outcome nobody knows, at most, if the run is killed."""


@dataclass(frozen=True, slots=True)
class _Call:
    """A request that is ready to be called."""

    batch: EndedBatch
    request_id: str
    body: Mapping[str, Any] = field(repr=False)

    @property
    def row(self) -> BatchRow:
        return (self.batch.id, self.request_id)


class SynchronousCaller:
    """Sends synchronous requests in rounds: mark some, call them in parallel, write the answers."""

    def __init__(
        self,
        pipeline: Pipeline,
        claimed: Sequence[SynchronousBatch],
        budget: Budget,
        tier: Tier = Tier.FULL,
    ) -> None:
        self.batches = len(claimed)
        self.calls = 0
        self.ingested = IngestReport()
        """What was written of the answers, and what waits again."""
        self.full_models: set[str | None] = set()
        """Models for which the server has no room."""
        self.stopped_by: ApiError | None = None
        """The failure after which nothing more was called."""
        self._pipeline = pipeline
        self._budget = budget
        self._by_flex = tier is Tier.FLEX
        pipeline.require_own(batch.account_name for batch in claimed)
        self._batches = {batch.id: batch.to_read() for batch in claimed}
        self._leases = [batch.lease for batch in claimed]
        seconds = lease_seconds(pipeline, tier)
        self._keeper = LeaseKeeper(
            pipeline.queries,
            self._leases,
            seconds,
            longest_call=_longest_call(pipeline, tier),
        )
        self._writer = ResultWriter(
            pipeline, list(self._batches.values()), self.ingested, lease_seconds=seconds
        )
        self._limited_log = RateLimitedLogger(log)

    def send(self) -> None:
        """Call what may be called; what was not waits again when the batches are finalized."""
        queries = self._pipeline.queries
        try:
            calls = self._prepare()
            size = calls_a_round(self._pipeline)
            for start in range(0, len(calls), size):
                if self.is_over:
                    break
                self._round(calls[start : start + size])
            returned = queries.finalize(
                [one for one in self._leases if one.batch_id not in self._writer.unwritten]
            )
            self.ingested.rows.returned += sum(returned.values())
            if self._writer.unwritten:
                queries.expire(self._leases)
        except BaseException:
            # Interrupted, or broken off by something unforeseen: whoever reads them need not wait.
            queries.expire(self._leases)
            raise
        finally:
            self._limited_log.close()
            self._writer.close()

    @property
    def is_over(self) -> bool:
        """Whether another call would not help or would come too late."""
        return self.stopped_by is not None or self._budget.is_late

    def _prepare(self) -> list[_Call]:
        """All that can be written, from one read: no call is made meanwhile."""
        conversations = self._pipeline.queries.conversations(list(self._batches))
        calls = [self._call_of(one) for one in conversations if one.contents]
        return [call for call in calls if call is not None]

    def _call_of(self, conversation: Conversation) -> _Call | None:
        batch = self._batches[conversation.batch_id]
        try:
            model = self._pipeline.policy.model_of(conversation.model)
            body = analysis.request_body(conversation, model)
            return _Call(batch, conversation.request_id, body)
        except (LookupError, TypeError, ValueError) as error:
            # Nothing of the error goes on but its class: it may quote the conversation.
            self._limited_log.warning(
                "Batch %s: one request cannot be sent: %s", batch.id, type(error).__name__
            )
            return None

    def _round(self, calls: Sequence[_Call]) -> None:
        """Mark, call and write some requests. A lost lease keeps them from all three."""
        ready = [
            call
            for call in calls
            if call.batch.model not in self.full_models and self._keeper.holds(call.batch.lease)
        ]
        if not ready:
            return
        store = self._pipeline.synchronous_batches
        asks = store.asks([one.request_id for one in ready]) if self._by_flex else []
        marked = store.mark_called([(one.batch.lease, one.request_id) for one in ready])
        lines: dict[BatchRow, ResultLine] = {}

        def call(one: _Call) -> None:
            # Whoever took the batch over has given this call up: then it is not made any more.
            if self._keeper.holds(one.batch.lease):
                lines[one.row] = self._call(one)

        made = [one for one in ready if one.row in marked]
        try:
            limit = self._pipeline.api.in_flight
            run_per_key(made, lambda one: one.request_id, call, at_a_time=len(calls), limit=limit)
        finally:
            self.calls += sum(line.answered for line in lines.values())
            without_room = {line.request_id for line in lines.values() if _found_no_room(line)}
            again = [one for one in asks if one.request_id in without_room]
            if again:
                # Before they leave their batch: a run that ends in between has forgotten no ask.
                store.ask_again(again)
            for (batch_id, _), line in lines.items():
                self._writer.add(self._batches[batch_id], line)
            self._writer.flush()

    def _call(self, call: _Call) -> ResultLine:
        """What one request is answered with."""
        batch_id, request_id = call.row
        try:
            response, failure = self._pipeline.api.complete(
                call.body, call_id(*call.row), by_flex=self._by_flex
            )
        except ApiError as error:
            self._limited_log.warning("Batch %s, synchronous request: %s", batch_id, error)
            return self._failed(call, error)
        return ResultLine(request_id, response, failure)

    def _failed(self, call: _Call, error: ApiError) -> ResultLine:
        """What a failed call means for its request, and whether others may follow."""
        failure = error.failure
        batch_id, request_id = call.row
        if failure.kind in _STOPPING:
            self.stopped_by = error
        if failure.kind is FailureKind.TRANSIENT:
            # It was never sent.
            return ResultLine(request_id, None, failure, answered=False)
        if failure.kind is FailureKind.INDETERMINATE:
            return _unknown(batch_id, request_id, failure.code)
        if failure.kind is FailureKind.CAPACITY:
            self.full_models.add(call.batch.model)
        return ResultLine(request_id, None, failure)


def calls_a_round(pipeline: Pipeline) -> int:
    """How many calls are made at one time, at most."""
    at_a_time = pipeline.policy.concurrent_companies or _MOST_A_ROUND
    return min(at_a_time, pipeline.api.in_flight.most)


def lease_seconds(pipeline: Pipeline, tier: Tier) -> float:
    """How long a synchronous batch is held, so that a call which is made outlasts no lease."""
    own = pipeline.policy.lease_seconds
    return max(own, 1.25 * _longest_call(pipeline, tier)) if tier is Tier.FLEX else own


def _longest_call(pipeline: Pipeline, tier: Tier) -> float:
    timeouts = pipeline.api.timeouts
    is_flex = tier is Tier.FLEX
    return timeouts.longest_flex_call if is_flex else timeouts.longest_synchronous_call


def _found_no_room(line: ResultLine) -> bool:
    return line.failure is not None and line.failure.kind is FailureKind.CAPACITY


def give_up_called(pipeline: Pipeline, batches: Sequence[EndedBatch], writer: ResultWriter) -> None:
    """End the calls of synchronous batches whose run has ended before their outcome was written.

    What of them was never called has no outcome then, and waits again as they are finalized.
    """
    if not batches:
        return
    by_id = {batch.id: batch for batch in batches}
    for batch_id, request_id in pipeline.synchronous_batches.called(list(by_id)):
        writer.add(by_id[batch_id], _unknown(batch_id, request_id, "the run ended"))
    writer.flush()


def _unknown(batch_id: str, request_id: str, why: str) -> ResultLine:
    reason = (
        f"A synchronous request was begun, and its outcome is not known ({why}): it may have been "
        f"answered and paid for. Its X-Client-Request-Id is {call_id(batch_id, request_id)}."
    )
    failure = Failure(FailureKind.INDETERMINATE, INDETERMINATE, reason)
    return ResultLine(request_id, None, failure)
