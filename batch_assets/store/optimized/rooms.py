"""What caps, allowances and rests leave, read once and kept up to date while packing goes on."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import Row

from batch_assets.domain.packing import Draft, Room
from batch_assets.domain.policy import Policy
from batch_assets.store.original.visits import room_within, total
from batch_assets.store.protocol import Spent


class Rooms:
    """The room of each company, with all that was drafted so far counted in."""

    def __init__(self, used: "Row[tuple[object, ...]]", policy: Policy, spent: Spent) -> None:
        today: Mapping[str, Sequence[float]] = used.today
        self._policy = policy
        self._run = spent
        self._day = Spent(
            requests=round(sum(requests for requests, _ in today.values())),
            cost_eur=sum(cost for _, cost in today.values()),
        )
        self._companies = {
            company_id: Spent(round(requests), cost)
            for company_id, (requests, cost) in today.items()
        }
        self._enqueued: Counter[str] = Counter(used.enqueued)
        self.paused_models: dict[str, str] = used.paused
        """Models that rest, with the reason; more of them as their allowances are used up."""

    def room(self, company_id: str, models: Iterable[str]) -> Room:
        """What may still be sent for a company, of these models without those that rest."""
        return room_within(
            self._policy.caps,
            run=self._run,
            day=self._day,
            company=self._companies.get(company_id, Spent()),
            model_tokens={
                model: self._policy.token_allowance(model) - self._enqueued[model]
                for model in models
            },
            paused_models=dict(self.paused_models),
        )

    def take(self, drafts: Sequence[Draft], room: Room) -> None:
        """Count drafts that are about to be claimed, and models that have no room left since."""
        self.paused_models.update(room.paused_models)
        for draft in drafts:
            more = total([draft])
            self._run += more
            self._day += more
            own = self._companies.get(draft.company_id, Spent())
            self._companies[draft.company_id] = own + more
            self._enqueued[draft.model] += draft.tokens
