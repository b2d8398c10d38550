"""One company pass of a claim: what the company has waiting, and what can be packed of it now."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from batch_assets.domain.allowances import Allowances, read_allowances
from batch_assets.domain.budgets import Budgets, read_budgets
from batch_assets.domain.packing import (
    Candidate,
    Draft,
    Packing,
    Quota,
    Terms,
    held_by_cooldown,
    pack,
)
from batch_assets.domain.turnarounds import TurnaroundHistory
from batch_assets.store.budgets import BUDGET_PARTS
from batch_assets.store.claims import (
    ClaimSize,
    LimitsOfAll,
    leave_to_next_look,
    quota_within,
    total,
)
from batch_assets.store.protocol import Spent
from batch_assets.store.sql import load

SQL = load(Path(__file__).with_suffix(".sql"), parts_of=[BUDGET_PARTS])


@dataclass(frozen=True, slots=True)
class ClaimProgress:
    """What a claim knows on its way from company to company."""

    countable: int
    """How many requests of models in a cooldown may still be counted."""
    size: ClaimSize
    """What it has in hand; a pass only reads it."""
    limits: LimitsOfAll
    """What its passes have shown of caps and budgets for everybody."""
    cooling: Mapping[str, str] = field(default_factory=dict)
    """Models whose quota has turned out to be used up, for whatever company, with the reason."""
    history: TurnaroundHistory = field(default_factory=lambda: TurnaroundHistory(()))
    """By which it is foreseen how long a batch takes; a pass does not look at it."""


@dataclass(frozen=True, slots=True)
class CompanyPass:
    """What was packed of one company's oldest waiting requests."""

    packing: Packing
    passed_over: Mapping[str, str]
    """Models of which nothing was read, with the reason."""
    progress: ClaimProgress
    """What is known after it."""
    is_last: bool
    """Whether another pass over the company would find nothing to pack."""
    is_end: bool
    """Whether a cap is reached that is for all companies."""


def pass_company(
    connection: Connection,
    company_id: str,
    terms: Terms,
    spent: Spent,
    progress: ClaimProgress,
    *,
    foreseen: Sequence[Draft] = (),
) -> CompanyPass:
    """Pack what one company has, without the models in a cooldown: see `count_passed_over`.

    `foreseen` drafts are not in the database yet but count as if they were.
    """
    quota, allowances = _quota(connection, company_id, terms, spent, foreseen)
    quota.models_in_cooldown.update(progress.cooling)
    passed_over = dict(quota.models_in_cooldown)
    candidates, is_cut = _candidates(connection, company_id, terms, list(passed_over))
    for candidate in candidates:
        allowed = quota.model_allowances.setdefault(
            candidate.model, allowances.tokens(candidate.model)
        )
        quota.model_tokens.setdefault(candidate.model, allowed)
    packing = pack(candidates, terms, quota)
    is_left = leave_to_next_look(packing, progress.size, is_cut=is_cut)
    cools_more = len(quota.models_in_cooldown) > len(passed_over)
    has_moved = packing.drafts or packing.rejections or packing.followers or cools_more
    is_end = not is_left and progress.limits.are_used_up(quota, packing)
    is_last = is_end or not (has_moved and (is_cut or is_left))
    after = replace(progress, cooling=quota.models_in_cooldown)
    return CompanyPass(packing, passed_over, after, is_last, is_end)


def count_passed_over(connection: Connection, company_id: str, done: CompanyPass) -> CompanyPass:
    """The last pass over a company, with what was passed over for its model's cooldown as held.

    At most `ClaimProgress.countable`. It is counted after what was packed has moved: a rejected
    request lets one that follows it wait in its place.
    """
    held: Counter[str] = Counter()
    for model in sorted(done.passed_over):
        left = done.progress.countable - held.total()
        which = {"company_id": company_id, "model": model, "limit": left}
        requests = connection.execute(SQL["passed_over"], which).scalar_one()
        if requests:
            held[held_by_cooldown(model, done.passed_over[model])] += requests
    done.packing.held += held
    countable = done.progress.countable - held.total()
    return replace(done, progress=replace(done.progress, countable=countable))


def _candidates(
    connection: Connection, company_id: str, terms: Terms, passed_over: list[str]
) -> tuple[list[Candidate], bool]:
    """The oldest that wait, and whether more do: a full batch of each model is among them then."""
    which: dict[str, Any] = {
        "company_id": company_id,
        "models_in_cooldown": passed_over,
        "account_name": terms.account_name,
    }
    limit = terms.policy.rows_of_look()
    while True:
        bounds = {"only_model": terms.only_model, "limit": limit}
        rows = connection.execute(SQL["candidates"], which | bounds).all()
        enough = terms.policy.rows_of_look(len({row.model for row in rows}))
        if len(rows) < limit or limit >= enough:
            return [Candidate(**row._mapping) for row in rows], len(rows) == limit
        limit = enough


def _quota(
    connection: Connection,
    company_id: str,
    terms: Terms,
    spent: Spent,
    foreseen: Sequence[Draft],
) -> tuple[Quota, Allowances]:
    """What caps, budgets and allowances leave for a company at this moment, and the allowances."""
    of_account = {"account_name": terms.account_name}
    which = {"company_id": company_id, "account": terms.account, "budgets_of": company_id}
    used = connection.execute(SQL["claimed_today"], which).one()
    allowances = read_allowances(terms.policy, used.allowances)
    today = total(foreseen)
    own = total([draft for draft in foreseen if draft.company_id == company_id])
    enqueued = Counter(
        {row.model: row.tokens for row in connection.execute(SQL["enqueued_tokens"], of_account)}
    )
    budgets = Budgets(read_budgets(used.budgets))
    for draft in foreseen:
        enqueued[draft.model] += draft.tokens
        budgets.take(draft.company_id, draft.cost_eur)
    cooling = {
        row.model: row.reason for row in connection.execute(SQL["models_in_cooldown"], of_account)
    }
    quota = quota_within(
        terms.policy.caps,
        run=spent,
        day=Spent(used.day_requests, used.day_cost_eur) + today,
        company=Spent(used.company_day_requests, used.company_day_cost_eur) + own,
        budgets=budgets.left_for(company_id),
        model_tokens={
            model: allowances.tokens(model) - tokens for model, tokens in enqueued.items()
        },
        model_allowances={},
        batches=allowances.hourly_batches - used.created - len(foreseen),
        models_in_cooldown=cooling,
    )
    return quota, allowances
