"""What all claims share: one at a time, within what caps, budgets and allowances leave."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row

from batch_assets.domain.allowances import read_allowances
from batch_assets.domain.budgets import BudgetLeft, Budgets, is_beyond, read_budgets
from batch_assets.domain.packing import (
    CAP_ON_COST,
    CAP_ON_REQUESTS,
    HOURLY_BATCHES,
    Draft,
    Packing,
    Quota,
    Rejection,
    Terms,
)
from batch_assets.domain.policy import Caps, Policy
from batch_assets.domain.turnarounds import Basis, PastBatch, TurnaroundHistory
from batch_assets.store.budgets import BUDGET_PARTS
from batch_assets.store.protocol import Holder, Spent
from batch_assets.store.sessions import end_followers, lock_sessions, restage
from batch_assets.store.sql import load

SQL = load(Path(__file__).with_suffix(".sql"), parts_of=[BUDGET_PARTS])


class Quotas:
    """The quota of each company, read once; with all that was drafted so far counted in."""

    def __init__(self, used: "Row[tuple[object, ...]]", policy: Policy, spent: Spent) -> None:
        self._allowances = read_allowances(policy, used.allowances)
        self._created: int = used.created
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
        self._past_batches: Sequence[Sequence[Any]] = used.past_batches
        self._budgets = Budgets(read_budgets(used.budgets))
        self.models_in_cooldown: dict[str, str] = used.cooling
        """Models in a cooldown, with the reason; more of them as allowances are used up."""

    def of(self, company_id: str, models: Iterable[str]) -> Quota:
        """What may still be sent for a company, of these models without those in a cooldown."""
        allowed = {model: self._allowances.tokens(model) for model in models}
        return quota_within(
            self._policy.caps,
            run=self._run,
            day=self._day,
            company=self._companies.get(company_id, Spent()),
            budgets=self._budgets.left_for(company_id),
            model_tokens={model: most - self._enqueued[model] for model, most in allowed.items()},
            model_allowances=allowed,
            batches=self._allowances.hourly_batches - self._created,
            models_in_cooldown=dict(self.models_in_cooldown),
        )

    @cached_property
    def history(self) -> TurnaroundHistory:
        """By which it is foreseen how long a batch takes."""
        return history_of(self._past_batches)

    def take(self, drafts: Sequence[Draft], quota: Quota) -> None:
        """Count drafts that are about to be claimed, and models that `quota` has no more of."""
        self.models_in_cooldown.update(quota.models_in_cooldown)
        for draft in drafts:
            more = total([draft])
            self._run += more
            self._day += more
            own = self._companies.get(draft.company_id, Spent())
            self._companies[draft.company_id] = own + more
            self._budgets.take(draft.company_id, more.cost_eur)
            self._enqueued[draft.model] += draft.tokens
        self._created += len(drafts)


def begin_claim(connection: Connection, terms: Terms, spent: Spent) -> Quotas:
    """Let no other transaction claim until this one ends, and read what is left of the quotas."""
    connection.execute(SQL["begin_claim"])
    return read_quotas(connection, terms, spent)


def read_quotas(connection: Connection, terms: Terms, spent: Spent) -> Quotas:
    """Read what is left of the quotas; one statement."""
    which = {
        "account": terms.account,
        "account_name": terms.account_name,
        "budgets_of": None,
    }
    return Quotas(connection.execute(SQL["used"], which).one(), terms.policy, spent)


def history_of(past_batches: Iterable[Sequence[Any]]) -> TurnaroundHistory:
    """The history as a claim reads it, each batch as the values of a `PastBatch`."""
    return TurnaroundHistory(PastBatch(*values) for values in past_batches)


def kept_forecast(history: TurnaroundHistory, draft: Draft) -> tuple[float | None, float | None]:
    """By when half of such batches are done, and nine of ten, in seconds from the submission.

    `None` twice if too few have ended: a completion window says nothing that could be wrong.
    """
    expected = history.expect(draft.model, len(draft.candidates))
    if expected.basis is Basis.WINDOW:
        return None, None
    return expected.p50_seconds, expected.p90_seconds


def quota_within(
    caps: Caps,
    *,
    run: Spent,
    day: Spent,
    company: Spent,
    budgets: list[BudgetLeft],
    model_tokens: dict[str, int],
    model_allowances: dict[str, int],
    batches: int,
    models_in_cooldown: dict[str, str],
) -> Quota:
    """The quota that is left of caps after what the run, the day and the company have spent."""
    return Quota(
        requests={
            "run": _left(caps.run_requests, run.requests),
            "day": _left(caps.day_requests, day.requests),
            "company": _left(caps.company_day_requests, company.requests),
        },
        cost_eur={
            "run": _left(caps.run_cost_eur, run.cost_eur),
            "day": _left(caps.day_cost_eur, day.cost_eur),
            "company": _left(caps.company_day_cost_eur, company.cost_eur),
        },
        budgets=budgets,
        model_tokens=model_tokens,
        model_allowances=model_allowances,
        batches=batches,
        models_in_cooldown=models_in_cooldown,
    )


def _left(cap: float | None, used: float) -> float | None:
    return None if cap is None else cap - used


@dataclass(slots=True)
class LimitsOfAll:
    """Whether what bounds everybody is used up in a claim: caps, budgets, the hour's batches.

    A request that costs more than what is left says nothing of others, which may cost less: a limit
    on cost is used up where nothing is left, or less than the least request of a company takes of
    which some was packed. And nobody looks through a whole backlog for what fits in after all: it
    counts as used up when as many as one look reads were held, and nothing was packed since.
    """

    most_held: int
    """How many that is."""
    held: int = 0

    def are_used_up(self, quota: Quota, packing: Packing) -> bool:
        """Whether they are, after a company was packed; with `quota` as packing has left it."""
        if packing.held[HOURLY_BATCHES]:
            return True
        if packing.held[CAP_ON_REQUESTS] and _tightest(quota.requests) != "company":
            return True
        left = _left_of_all(quota, packing)
        self.held = 0 if packing.drafts else self.held + sum(packing.held[one] for one in left)
        least = packing.least_eur if packing.drafts else 0.0
        return self.held >= self.most_held or any(is_beyond(one, least) for one in left.values())


def has_nothing_left(quota: Quota) -> bool:
    """Whether a cap or budget lets nothing through any more, be it ever so cheap."""
    costs = [*quota.cost_eur.values(), *(one.left_eur for one in quota.budgets)]
    return any(left is not None and is_beyond(left, 0.0) for left in costs) or any(
        left is not None and left < 1 for left in quota.requests.values()
    )


def _left_of_all(quota: Quota, packing: Packing) -> dict[str, float]:
    """What is left of each limit on everybody's cost that has held something, by the reason."""
    left = {one.held_reason: one.left_eur for one in quota.budgets if one.is_of_all}
    scope = _tightest(quota.cost_eur)
    if scope != "company":
        left[CAP_ON_COST] = quota.cost_eur[scope] or 0.0
    return {reason: eur for reason, eur in left.items() if packing.held[reason]}


def _tightest(left: Mapping[str, float | None]) -> str:
    """The scope with the smallest quota; of two that are equal, the wider one."""
    return min(left, key=lambda scope: math.inf if (quota := left[scope]) is None else quota)


def total(drafts: Sequence[Draft]) -> Spent:
    """What some drafts would spend."""
    return Spent(
        requests=sum(len(draft.candidates) for draft in drafts),
        cost_eur=sum(draft.cost_eur for draft in drafts),
    )


@dataclass(slots=True)
class ClaimSize:
    """What one claim has in hand; with enough of it, the rest is for the next claim."""

    policy: Policy
    batches: int = 0
    rows: int = 0
    bytes: int = 0

    def add(self, drafts: Iterable[Draft]) -> None:
        """Count drafts that are claimed."""
        for draft in drafts:
            self.batches += 1
            self.rows += len(draft.candidates)
            self.bytes += draft.bytes

    def within(self, drafts: Iterable[Draft]) -> list[Draft]:
        """Take of some drafts as many as it needs, in their order, until there is enough."""
        with_them = replace(self)
        taken: list[Draft] = []
        for draft in drafts:
            if with_them.is_enough:
                break
            with_them.add([draft])
            taken.append(draft)
        return taken

    @property
    def is_enough(self) -> bool:
        """Whether no other batch is to be claimed."""
        return (
            self.batches >= self.policy.batches_per_claim
            or self.rows >= self.policy.rows_per_claim
            or self.bytes >= self.policy.bytes_per_claim
        )


def leave_to_next_look(packing: Packing, size: ClaimSize, *, is_cut: bool) -> bool:
    """Leave drafts of a company to the next look, in this claim or another; whether any were left.

    With `is_cut` there is more of the company than was read: drafts that are not full wait for
    that, if others are. What goes beyond the claim's size waits, too.
    """
    found = packing.drafts
    if is_cut and not packing.held:
        # What holds something back may let nothing more into an open draft.
        found = [draft for draft in found if draft.is_full] or found
    taken = size.within(found)
    is_left = len(taken) < len(packing.drafts)
    packing.drafts = taken
    return is_left


def claim_parameters(
    batch_ids: Sequence[str], drafts: Sequence[Draft], holder: Holder
) -> dict[str, Any]:
    """Batches of these ids with their rows, as columns: one batch a draft, under a lease."""
    rows = [
        (candidate.request_id, batch_id, draft.company_id, position, one.text_bytes, one.cost_eur)
        for batch_id, draft in zip(batch_ids, drafts, strict=True)
        for position, (candidate, one) in enumerate(
            zip(draft.candidates, draft.estimates, strict=True), start=1
        )
    ]
    request_ids, of_batches, of_companies, positions, texts_bytes, costs_eur = (
        list(column) for column in zip(*rows, strict=True)
    )
    return {
        "batch_ids": list(batch_ids),
        "company_ids": [draft.company_id for draft in drafts],
        "models": [draft.model for draft in drafts],
        "requests": [len(draft.candidates) for draft in drafts],
        "tokens": [draft.tokens for draft in drafts],
        "costs_eur": [draft.cost_eur for draft in drafts],
        "prices": [None if one.price is None else one.price.as_json() for one in drafts],
        "installation_id": holder.installation_id,
        "run_id": holder.run_id,
        "owner": holder.owner,
        "lease_seconds": holder.lease_seconds,
        "account": holder.account,
        "account_name": holder.account_name,
        "request_ids": request_ids,
        "of_batches": of_batches,
        "of_companies": of_companies,
        "positions": positions,
        "texts_bytes": texts_bytes,
        "row_costs_eur": costs_eur,
    }


def end_rejected(connection: Connection, rejections: Sequence[Rejection]) -> None:
    """Let others take the places of requests that have become dead letters; stages say so."""
    if rejections:
        request_ids = [rejection.candidate.request_id for rejection in rejections]
        session_ids = lock_sessions(connection, request_ids)
        end_followers(connection, request_ids)
        restage(connection, session_ids)
