"""What it would cost to send requests live, beside what the next batch would take for them."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from batch_assets.domain.packing import Candidate, Quota, Terms, pack
from batch_assets.stages.live import live_terms
from batch_assets.stages.pipeline import Pipeline
from batch_assets.stages.plan import claim_terms
from batch_assets.store.live_requests import Choice


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
    """What can be sent live, and how many cannot, by the reason."""

    quotes: list[Quote] = field(default_factory=list)
    candidates: list[Candidate] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)

    @property
    def cost_eur(self) -> float:
        """The estimate for all of them, live."""
        return sum(quote.cost_eur for quote in self.quotes)

    @property
    def batch_cost_eur(self) -> float:
        """The estimate for all of them in batches."""
        return sum(quote.batch_cost_eur for quote in self.quotes)


def offer_of(pipeline: Pipeline, choices: Sequence[Choice]) -> Offer:
    """What sending these live would cost; `choices` are in the order of company and code."""
    offer = Offer()
    live, batched = live_terms(pipeline), claim_terms(pipeline)
    keyed = groupby(choices, key=lambda one: (one.candidate.company_id, one.company, one.code))
    for (company_id, company, code), some in keyed:
        candidates = []
        for choice in some:
            if live.price_of(choice.candidate.model) is None:
                offer.refused[f"model {choice.candidate.model} has no price"] += 1
            else:
                candidates.append(choice.candidate)
        packing = pack(candidates, live, Quota())
        offer.refused.update(rejection.code for rejection in packing.rejections)
        sendable = [one for draft in packing.drafts for one in draft.candidates]
        if sendable:
            cost = sum(draft.cost_eur for draft in packing.drafts)
            quote = Quote(company_id, company, code, len(sendable), cost, _cost(sendable, batched))
            offer.quotes.append(quote)
            offer.candidates += sendable
    return offer


def _cost(candidates: Iterable[Candidate], terms: Terms) -> float:
    return sum(draft.cost_eur for draft in pack(candidates, terms, Quota()).drafts)
