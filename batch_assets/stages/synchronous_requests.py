"""Synchronous requests, one by one, by flex or at the full price: claim, commit, call, record.

What goes by flex costs what it would in a batch and may take twenty minutes: runs of their own do
that, beside the others. Until these have waited long enough for room, nobody else takes theirs.

What became of such a call cannot be looked up afterwards. So that it is to be made is committed
first, and the outcome of one that nobody recorded is unknown for good: such a request is not sent
again unasked.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from batch_assets.domain.batches import Written
from batch_assets.domain.errors import FailureKind
from batch_assets.domain.money import Price
from batch_assets.domain.packing import Candidate, Quota, Terms, pack
from batch_assets.domain.policy import NO_WAIT, FlexWait, Tier
from batch_assets.stages.circuit_breakers import synchronous_held_by
from batch_assets.stages.cooldowns import cool_down_unpaid
from batch_assets.stages.copies import settle_doubt
from batch_assets.stages.pipeline import Budget, Pipeline
from batch_assets.stages.plan import claim_terms
from batch_assets.stages.synchronous_caller import (
    INDETERMINATE,
    SynchronousCaller,
    lease_seconds,
)
from batch_assets.store.protocol import Spent
from batch_assets.store.registry import WorkSnapshot
from batch_assets.store.synchronous_requests import FULL_PRICE, Choice, SynchronousLot


@dataclass(slots=True)
class SynchronousReport:
    """What one run sent synchronously."""

    synchronous_batches: int = 0
    synchronous_calls: int = 0
    synchronous_completed: int = 0
    synchronous_failed: int = 0
    """Requests that were refused or whose answer is of no use."""
    synchronous_unknown: int = 0
    """Those of them of which nobody knows what became of the call."""
    synchronous_without_room: int = 0
    """Those of them for which the server had no room: they wait, uncounted."""
    synchronous_returned: int = 0
    """Claimed and not called: they wait for a batch."""
    synchronous_cost_eur: float = 0.0
    synchronous_held: Counter[str] = field(default_factory=Counter)
    """Requests that a budget or a cap held back, by reason."""
    synchronous_held_because: str = ""
    """Why nothing at all was sent although there may be something to send."""

    def add(self, caller: SynchronousCaller) -> None:
        """Count what a caller has done."""
        rows = caller.ingested.rows
        self.synchronous_batches += caller.batches
        self.synchronous_calls += caller.calls
        self.synchronous_completed += rows.completed
        self.synchronous_failed += rows.retry + rows.dead
        self.synchronous_unknown += caller.ingested.failures[INDETERMINATE]
        self.synchronous_without_room += rows.failure_kinds[FailureKind.CAPACITY]
        self.synchronous_returned += rows.returned
        self.synchronous_cost_eur += rows.cost_eur


@dataclass(slots=True)
class SynchronousRows:
    """What became of the rows that a run has sent synchronously, for its metrics."""

    rows: Written = field(default_factory=Written)


def what_waits_for_flex(pipeline: Pipeline, snapshot: WorkSnapshot) -> FlexWait:
    """See which requests are left to the runs that send by flex.

    None while flex may not be used, or the budgets of the day are used up: nobody would send them.
    One statement, where there may be any.
    """
    policy = pipeline.policy.synchronous
    may_have_any = snapshot.has_synchronous_requests or snapshot.has_due_retries
    has_flex = bool(policy.flex_models) or pipeline.api.profile.lists_flex
    if not (policy.is_on and Tier.FLEX in policy.tiers and has_flex and may_have_any):
        return NO_WAIT
    late_after = pipeline.policy.late_after_seconds
    outlook = pipeline.synchronous_batches.outlook(late_after)
    if not policy.has_left(outlook.day.requests, outlook.day.cost_eur):
        return NO_WAIT
    models = tuple(filter(pipeline.offers_flex, outlook.models))
    return FlexWait(models, late_after, policy.lead_seconds)


def send_synchronously(
    pipeline: Pipeline,
    snapshot: WorkSnapshot,
    budget: Budget,
    report: SynchronousReport,
    lot: SynchronousLot = FULL_PRICE,
) -> None:
    """Send what an operator has asked for, and what the next batch would bring home too late.

    Of that, what is of the lot's tier. Nothing while synchronous requests are off, or not allowed
    in that tier.

    Raises:
        ApiError: The server refuses the account; what was claimed by then is finalized.
    """
    policy, tier = pipeline.policy.synchronous, lot.tier
    may_have_any = snapshot.has_synchronous_requests or snapshot.has_due_retries
    if not (policy.is_on and tier in policy.tiers and may_have_any):
        return
    snapshot = settle_doubt(pipeline, snapshot)
    why_not = snapshot.installation.hold_reason or synchronous_held_by(snapshot.breakers, tier)
    if why_not is not None:
        report.synchronous_held_because = why_not
        return
    answered = pipeline.reports.note(SynchronousRows())
    terms = synchronous_terms(pipeline, snapshot, tier)
    holder = replace(
        pipeline.holder(snapshot.installation.id), lease_seconds=lease_seconds(pipeline, tier)
    )
    spent = Spent()
    is_over = False
    while not (is_over or budget.is_spent):
        claim = pipeline.synchronous_batches.claim(terms, holder, spent, lot)
        report.synchronous_held = Counter(claim.held)
        if not claim.batches:
            break
        requests = sum(batch.requests for batch in claim.batches)
        spent += Spent(requests, sum(batch.cost_eur for batch in claim.batches))
        budget.spend(requests)
        caller = SynchronousCaller(pipeline, claim.batches, budget, tier)
        try:
            caller.send()
        finally:
            report.add(caller)
            answered.rows += caller.ingested.rows
        if caller.stopped_by is not None and caller.stopped_by.failure.kind is FailureKind.ACCOUNT:
            cool_down_unpaid(pipeline, caller.stopped_by)
            raise caller.stopped_by
        is_over = caller.is_over or bool(caller.full_models)


def synchronous_terms(pipeline: Pipeline, snapshot: WorkSnapshot, tier: Tier = Tier.FULL) -> Terms:
    """Collect what packing has to know, with the prices of a tier."""

    def price_of(model: str) -> Price | None:
        price = pipeline.price_of(model)
        return None if price is None else price.in_tier(tier)

    return replace(claim_terms(pipeline, snapshot), price_of=price_of)


@dataclass(frozen=True, slots=True)
class Quote:
    """Requests of one company with one code; costs are estimates."""

    company_id: str
    company: str
    code: str | None
    requests: int
    cost_eur: float
    batch_cost_eur: float


@dataclass(slots=True)
class Offer:
    """What can be sent synchronously, and how many requests cannot, by the reason."""

    quotes: list[Quote] = field(default_factory=list)
    candidates: list[Candidate] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    flex_requests: int = 0
    """Those of them that go by flex, if it has room."""

    @property
    def cost_eur(self) -> float:
        """The estimate for all of them, sent synchronously."""
        return sum(quote.cost_eur for quote in self.quotes)

    @property
    def batch_cost_eur(self) -> float:
        """The estimate for all of them in batches."""
        return sum(quote.batch_cost_eur for quote in self.quotes)


def offer_of(pipeline: Pipeline, snapshot: WorkSnapshot, choices: Sequence[Choice]) -> Offer:
    """Estimate what sending these would cost; `choices` are in the order of company and code.

    What can go by flex is estimated so: it goes at the full price only where there is no room.
    """
    offer = Offer()
    at_once, batched = _first_terms(pipeline, snapshot), claim_terms(pipeline, snapshot)
    tiers = pipeline.policy.synchronous.tiers
    keyed = groupby(choices, key=lambda one: (one.candidate.company_id, one.company, one.code))
    for (company_id, company, code), some in keyed:
        candidates = []
        for choice in some:
            model = choice.candidate.model
            if at_once.price_of(model) is None:
                offer.refused[f"model {model} has no price"] += 1
            elif Tier.FULL not in tiers and not pipeline.offers_flex(model):
                offer.refused[f"model {model} is not offered by flex"] += 1
            else:
                candidates.append(choice.candidate)
        packing = pack(candidates, at_once, Quota())
        offer.refused.update(rejection.code for rejection in packing.rejections)
        sendable = [one for draft in packing.drafts for one in draft.candidates]
        if sendable:
            cost = sum(draft.cost_eur for draft in packing.drafts)
            quote = Quote(company_id, company, code, len(sendable), cost, _cost(sendable, batched))
            by_flex = sum(_goes_by_flex(pipeline, one.model) for one in sendable)
            offer.flex_requests += by_flex
            offer.quotes.append(quote)
            offer.candidates += sendable
    return offer


def _goes_by_flex(pipeline: Pipeline, model: str) -> bool:
    return Tier.FLEX in pipeline.policy.synchronous.tiers and pipeline.offers_flex(model)


def _first_terms(pipeline: Pipeline, snapshot: WorkSnapshot) -> Terms:
    """The terms with the price at which each model is asked for first."""

    def price_of(model: str) -> Price | None:
        price = pipeline.price_of(model)
        if price is None:
            return None
        return price.in_tier(Tier.FLEX if _goes_by_flex(pipeline, model) else Tier.FULL)

    return replace(claim_terms(pipeline, snapshot), price_of=price_of)


def _cost(candidates: Iterable[Candidate], terms: Terms) -> float:
    return sum(draft.cost_eur for draft in pack(candidates, terms, Quota()).drafts)
