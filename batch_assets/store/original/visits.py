"""One look at what a company has waiting, and what can be packed of it now."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection

from batch_assets.domain.packing import (
    Candidate,
    Draft,
    Packing,
    Room,
    Terms,
    held_by_rest,
    pack,
)
from batch_assets.domain.policy import Caps, Policy
from batch_assets.store.protocol import Spent
from batch_assets.store.sql import load

SQL = load(Path(__file__).with_suffix(".sql"))


@dataclass(frozen=True, slots=True)
class Visit:
    """What was packed of one company's oldest waiting requests."""

    packing: Packing
    resting: Mapping[str, str]
    """Models to pass over in the next visit, with the reason."""
    is_last: bool
    """Whether another visit would find nothing to pack."""


def visit_company(
    connection: Connection,
    company_id: str,
    terms: Terms,
    spent: Spent,
    resting: Mapping[str, str],
    *,
    foreseen: Sequence[Draft] = (),
) -> Visit:
    """Pack what one company has, without the models in `resting`.

    `foreseen` drafts are not in the database yet but count as if they were.
    """
    room = _room(connection, company_id, terms.policy, spent, foreseen)
    room.paused_models.update(resting)
    passed_over = dict(room.paused_models)
    limit = terms.policy.rows_per_look
    which = {"company_id": company_id, "resting_models": list(passed_over)}
    rows = connection.execute(SQL["candidates"], which | {"limit": limit}).all()
    candidates = [Candidate(**row._mapping) for row in rows]
    for candidate in candidates:
        room.model_tokens.setdefault(candidate.model, terms.policy.token_allowance(candidate.model))
    packing = pack(candidates, terms, room)
    if passed_over:
        for row in connection.execute(SQL["resting"], which):
            packing.held[held_by_rest(row.model, passed_over[row.model])] += row.requests
    has_moved = packing.drafts or packing.rejections or len(room.paused_models) > len(passed_over)
    return Visit(packing, room.paused_models, not (has_moved and len(rows) == limit))


def total(drafts: Sequence[Draft]) -> Spent:
    """What some drafts would spend."""
    return Spent(
        requests=sum(len(draft.candidates) for draft in drafts),
        cost_eur=sum(draft.cost_eur for draft in drafts),
    )


def _room(
    connection: Connection,
    company_id: str,
    policy: Policy,
    spent: Spent,
    foreseen: Sequence[Draft],
) -> Room:
    """What the caps and allowances leave for one company at this moment."""
    used = connection.execute(SQL["claimed_today"], {"company_id": company_id}).one()
    today = total(foreseen)
    own = total([draft for draft in foreseen if draft.company_id == company_id])
    enqueued = Counter(
        {row.model: row.tokens for row in connection.execute(SQL["enqueued_tokens"])}
    )
    for draft in foreseen:
        enqueued[draft.model] += draft.tokens
    paused = {row.model: row.reason for row in connection.execute(SQL["paused_models"])}
    return room_within(
        policy.caps,
        run=spent,
        day=Spent(used.day_requests, used.day_cost_eur) + today,
        company=Spent(used.company_day_requests, used.company_day_cost_eur) + own,
        model_tokens={
            model: policy.token_allowance(model) - tokens for model, tokens in enqueued.items()
        },
        paused_models=paused,
    )


def room_within(
    caps: Caps,
    *,
    run: Spent,
    day: Spent,
    company: Spent,
    model_tokens: dict[str, int],
    paused_models: dict[str, str],
) -> Room:
    """The room that the caps leave after what the run, the day and the company have spent."""
    return Room(
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
        model_tokens=model_tokens,
        paused_models=paused_models,
    )


def _left(cap: float | None, used: float) -> float | None:
    return None if cap is None else cap - used
