"""One look at what a company has waiting, and what can be packed of it now."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from batch_assets.domain.packing import (
    CAP_ON_COST,
    CAP_ON_REQUESTS,
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
class Course:
    """What a claim knows on its way from company to company."""

    countable: int
    """How many requests of models that rest may still be counted."""
    resting: Mapping[str, str] = field(default_factory=dict)
    """Models that have turned out to have no room left, for whatever company, with the reason."""


@dataclass(frozen=True, slots=True)
class Visit:
    """What was packed of one company's oldest waiting requests."""

    packing: Packing
    passed_over: Mapping[str, str]
    """Models of which nothing was read, with the reason."""
    course: Course
    """What is known after it."""
    is_last: bool
    """Whether another visit to the company would find nothing to pack."""
    is_end: bool
    """Whether a cap is reached that is for all companies."""


def visit_company(
    connection: Connection,
    company_id: str,
    terms: Terms,
    spent: Spent,
    course: Course,
    *,
    foreseen: Sequence[Draft] = (),
) -> Visit:
    """Pack what one company has, without the models that rest; see `count_passed_over` for these.

    `foreseen` drafts are not in the database yet but count as if they were.
    """
    room = _room(connection, company_id, terms.policy, spent, foreseen)
    room.paused_models.update(course.resting)
    passed_over = dict(room.paused_models)
    limit = terms.policy.rows_per_look
    which: dict[str, Any] = {"company_id": company_id, "resting_models": list(passed_over)}
    which |= {"only_model": terms.only_model, "limit": limit}
    rows = connection.execute(SQL["candidates"], which).all()
    candidates = [Candidate(**row._mapping) for row in rows]
    for candidate in candidates:
        room.model_tokens.setdefault(candidate.model, terms.policy.token_allowance(candidate.model))
    packing = pack(candidates, terms, room)
    rests_more = len(room.paused_models) > len(passed_over)
    has_moved = packing.drafts or packing.rejections or packing.followers or rests_more
    is_end = is_used_up(room, packing)
    is_last = is_end or not (has_moved and len(rows) == limit)
    after = Course(course.countable, room.paused_models)
    return Visit(packing, passed_over, after, is_last, is_end)


def count_passed_over(connection: Connection, company_id: str, visit: Visit) -> Visit:
    """The last visit to a company with what was passed over because its model rests, as held.

    At most `Course.countable`. It is counted after what was packed has moved: a rejected request
    lets one that follows it wait in its place.
    """
    held: Counter[str] = Counter()
    for model in sorted(visit.passed_over):
        left = visit.course.countable - held.total()
        which = {"company_id": company_id, "model": model, "limit": left}
        requests = connection.execute(SQL["passed_over"], which).scalar_one()
        if requests:
            held[held_by_rest(model, visit.passed_over[model])] += requests
    visit.packing.held += held
    countable = visit.course.countable - held.total()
    return replace(visit, course=replace(visit.course, countable=countable))


def is_used_up(room: Room, packing: Packing) -> bool:
    """Whether something was held by a cap that leaves no more to any other company.

    That it was held is enough: nobody looks through a whole backlog for a request that is cheap
    enough to fit in after all.
    """
    return any(
        packing.held[reason] and _tightest(left) != "company"
        for reason, left in ((CAP_ON_REQUESTS, room.requests), (CAP_ON_COST, room.cost_eur))
    )


def _tightest(left: Mapping[str, float | None]) -> str:
    """The scope with the least room; of two that are equal, the wider one."""
    return min(left, key=lambda scope: math.inf if (room := left[scope]) is None else room)


@dataclass(slots=True)
class Load:
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

    @property
    def is_enough(self) -> bool:
        """Whether no other company is to be looked at."""
        return (
            self.batches >= self.policy.batches_per_claim
            or self.rows >= self.policy.rows_per_claim
            or self.bytes >= self.policy.bytes_per_claim
        )


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
