"""Requests that are sent live, one by one and at the full price: claim, commit, call, record.

A live call cannot be looked up afterwards. So that it is to be made is committed first, and what
became of one that nobody recorded is unknown for good: such a request is not sent again unasked.
"""

from collections import Counter
from dataclasses import dataclass, field, replace

from batch_assets.domain.batches import Written
from batch_assets.domain.failures import FailureKind
from batch_assets.domain.money import Price
from batch_assets.domain.packing import Terms
from batch_assets.stages.doubts import may_read
from batch_assets.stages.guarding import live_held_by
from batch_assets.stages.live_wave import INDETERMINATE_LIVE, LiveWave
from batch_assets.stages.pipeline import Budget, Pipeline
from batch_assets.stages.plan import claim_terms
from batch_assets.stages.resting import rest_unpaid
from batch_assets.store.protocol import Spent


@dataclass(slots=True)
class LiveReport:
    """What one run sent live."""

    live_batches: int = 0
    live_calls: int = 0
    live_completed: int = 0
    live_failed: int = 0
    """Requests that were refused or whose answer is of no use."""
    live_unknown: int = 0
    """Those of them of which nobody knows what became of the call."""
    live_returned: int = 0
    """Claimed and not called: they wait for a batch."""
    live_cost_eur: float = 0.0
    live_held: Counter[str] = field(default_factory=Counter)
    """Requests that a budget or a cap held back, by reason."""
    live_held_because: str = ""
    """Why nothing at all was sent although there may be something to send."""

    def add(self, wave: LiveWave) -> None:
        """Count what a wave has done."""
        rows = wave.ingested.rows
        self.live_batches += wave.batches
        self.live_calls += wave.calls
        self.live_completed += rows.completed
        self.live_failed += rows.retry + rows.dead
        self.live_unknown += wave.ingested.failures[INDETERMINATE_LIVE]
        self.live_returned += rows.returned
        self.live_cost_eur += rows.cost_eur


@dataclass(slots=True)
class LiveRows:
    """What became of the rows that a run has sent live, for its figures."""

    rows: Written = field(default_factory=Written)


def send_live(pipeline: Pipeline, budget: Budget, report: LiveReport) -> None:
    """Send what an operator has asked for, and what the next batch would bring home too late.

    Nothing while live calls are off. Raises ApiError when the server refuses the account; what was
    claimed by then is settled.
    """
    if not (pipeline.policy.live.is_on and _may_have_any(pipeline)):
        return
    may_read(pipeline)
    snapshot = pipeline.snapshot
    why_not = snapshot.installation.hold_reason or live_held_by(snapshot.breakers)
    if why_not is not None:
        report.live_held_because = why_not
        return
    answered = pipeline.figures.note(LiveRows())
    terms = live_terms(pipeline)
    holder = pipeline.holder(snapshot.installation.id)
    spent = Spent()
    is_over = False
    while not (is_over or budget.is_spent):
        claim = pipeline.live.claim(terms, holder, spent)
        report.live_held = Counter(claim.held)
        if not claim.batches:
            break
        requests = sum(batch.requests for batch in claim.batches)
        spent += Spent(requests, sum(batch.cost_eur for batch in claim.batches))
        budget.spend(requests)
        wave = LiveWave(pipeline, claim.batches, budget)
        try:
            wave.send()
        finally:
            report.add(wave)
            answered.rows += wave.ingested.rows
        if wave.stopped_by is not None and wave.stopped_by.failure.kind is FailureKind.ACCOUNT:
            rest_unpaid(pipeline, wave.stopped_by)
            raise wave.stopped_by
        is_over = wave.is_over or bool(wave.full_models)


def live_terms(pipeline: Pipeline) -> Terms:
    """What packing has to know, with live prices."""

    def price_of(model: str) -> Price | None:
        price = pipeline.price_of(model)
        return None if price is None else price.undiscounted

    return replace(claim_terms(pipeline), price_of=price_of)


def _may_have_any(pipeline: Pipeline) -> bool:
    return pipeline.snapshot.has_live_requests or pipeline.snapshot.has_due_retries
