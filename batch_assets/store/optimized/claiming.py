"""From waiting rows to claimed batches, for all companies at once."""

import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from sys import intern
from typing import Any

from sqlalchemy import Connection, Row
from sqlalchemy.exc import DBAPIError

from batch_assets.domain.batches import Claim, ClaimedBatch
from batch_assets.domain.packing import (
    Candidate,
    Draft,
    Packing,
    Rejection,
    Terms,
    held_by_rest,
    pack,
)
from batch_assets.domain.policy import Policy
from batch_assets.domain.records import Lease
from batch_assets.store.followers import follow
from batch_assets.store.optimized.base import expect
from batch_assets.store.optimized.rooms import Rooms
from batch_assets.store.original.claiming import ClaimQueries as OriginalClaimQueries
from batch_assets.store.original.claiming import bury
from batch_assets.store.original.visits import Load, is_used_up
from batch_assets.store.protocol import Holder, Spent
from batch_assets.store.refused_values import refuses_value
from batch_assets.store.sql import load

SQL = load(Path(__file__).with_suffix(".sql"))


class ClaimQueries(OriginalClaimQueries):
    """The part of `store.protocol.Queries` that claims from the intake.

    The preview is the original's: it is for people, who look at it now and then.
    """

    def claim(
        self, company_ids: Sequence[str], terms: Terms, holder: Holder, spent: Spent
    ) -> Claim:
        """See `Queries.claim`; one transaction, and two or three statements for each look.

        If the database refuses a row, the original claims the others.
        """
        try:
            return self._claim(company_ids, terms, holder, spent)
        except DBAPIError as error:
            if not refuses_value(error):
                raise
        return super().claim(company_ids, terms, holder, spent)

    def _claim(
        self, company_ids: Sequence[str], terms: Terms, holder: Holder, spent: Spent
    ) -> Claim:
        with self.engine.begin() as connection:
            rooms = begin_claim(connection, terms.policy, spent)
            claiming = _Claiming(connection, company_ids, terms, holder, rooms)
            while not claiming.is_over:
                claiming.look()
            claiming.count_passed_over()
        return Claim(
            tuple(claiming.batches), claiming.rejected, claiming.held, tuple(claiming.queue)
        )


def begin_claim(connection: Connection, policy: Policy, spent: Spent) -> Rooms:
    """Let no other transaction claim until this one ends, and read what caps and rests leave."""
    connection.execute(SQL["one_claim_at_a_time"])
    return Rooms(connection.execute(SQL["used"]).one(), policy, spent)


def claim_parameters(
    batch_ids: Sequence[str], drafts: Sequence[Draft], holder: Holder
) -> dict[str, Any]:
    """Batches of these ids with their rows, as columns: one batch a draft, under a lease."""
    rows = [
        (candidate.request_id, batch_id, draft.company_id, position)
        for batch_id, draft in zip(batch_ids, drafts, strict=True)
        for position, candidate in enumerate(draft.candidates, start=1)
    ]
    request_ids, of_batches, of_companies, positions = (
        list(column) for column in zip(*rows, strict=True)
    )
    return {
        "batch_ids": list(batch_ids),
        "company_ids": [draft.company_id for draft in drafts],
        "models": [draft.model for draft in drafts],
        "requests": [len(draft.candidates) for draft in drafts],
        "tokens": [draft.tokens for draft in drafts],
        "costs_eur": [draft.cost_eur for draft in drafts],
        "installation_id": holder.installation_id,
        "run_id": holder.run_id,
        "owner": holder.owner,
        "lease_seconds": holder.lease_seconds,
        "account": holder.account,
        "request_ids": request_ids,
        "of_batches": of_batches,
        "of_companies": of_companies,
        "positions": positions,
    }


class _Claiming:
    """One claim, in one transaction: looks at the companies in turn until there is enough."""

    def __init__(
        self,
        connection: Connection,
        company_ids: Sequence[str],
        terms: Terms,
        holder: Holder,
        rooms: Rooms,
    ) -> None:
        self.queue = list(company_ids)
        self.load = Load(terms.policy)
        self.batches: list[ClaimedBatch] = []
        self.rejected: Counter[str] = Counter()
        self.held: Counter[str] = Counter()
        self._connection = connection
        self._terms = terms
        self._holder = holder
        self._rooms = rooms
        self._passed_over: dict[str, Mapping[str, str]] = {}
        """By company that is finished: models of which nothing was read, with the reason."""

    def look(self) -> None:
        """Read what waits for the companies in the queue, and claim what can be packed of it."""
        candidates, visited, is_cut = self._read()
        drafts: list[Draft] = []
        rejections: list[Rejection] = []
        followers: list[Candidate] = []
        for company_id in visited:
            packing = self._pack(company_id, candidates.get(company_id, ()), is_cut=is_cut)
            drafts += packing.drafts
            rejections += packing.rejections
            followers += packing.followers
            if self.is_over:
                break
        if drafts:
            self._claim(drafts)
        if followers:
            follow(self._connection, followers)
        if rejections:
            self._reject(rejections)

    @property
    def is_over(self) -> bool:
        """Whether there is nobody to look at, or enough in hand."""
        return not self.queue or self.load.is_enough

    def count_passed_over(self) -> None:
        """Count requests of models that were passed over, as many as one look may read."""
        pairs = [
            (company_id, model)
            for company_id, models in self._passed_over.items()
            for model in sorted(models)
        ]
        if pairs:
            company_ids, models = (list(column) for column in zip(*pairs, strict=True))
            which = {"company_ids": company_ids, "models": models}
            limit = {"limit": self._terms.policy.rows_per_look}
            for row in self._connection.execute(SQL["passed_over"], which | limit):
                reason = self._passed_over[row.company_id][row.model]
                self.held[held_by_rest(row.model, reason)] += row.requests

    def _read(self) -> tuple[Mapping[str, Sequence[Candidate]], Sequence[str], bool]:
        """Candidates by company, and the companies that were read to their end.

        Or the first company alone, if it has more than can be read at one time, and True.
        """
        limit = self._terms.policy.rows_per_look
        which = {
            "company_ids": self.queue,
            "resting_models": list(self._rooms.paused_models),
            "only_model": self._terms.only_model,
            "limit": limit,
        }
        rows = self._connection.execute(SQL["candidates"], which)
        found = [_candidate(row) for row in rows]
        by_company = {
            company_id: list(some) for company_id, some in groupby(found, attrgetter("company_id"))
        }
        if len(found) < limit:
            return by_company, self.queue, False
        whole = self.queue[: self.queue.index(found[-1].company_id)]
        return by_company, whole or self.queue[:1], not whole

    def _pack(self, company_id: str, found: Sequence[Candidate], *, is_cut: bool) -> Packing:
        """Pack what was found for the first company in the queue; it stays there if that is not all
        and something of it was moved."""
        passed_over = dict(self._rooms.paused_models)
        candidates = [candidate for candidate in found if candidate.model not in passed_over]
        room = self._rooms.room(company_id, {candidate.model for candidate in candidates})
        packing = pack(candidates, self._terms, room)
        self._rooms.take(packing.drafts, room)
        self.load.add(packing.drafts)
        is_end = is_used_up(room, packing)
        rests_more = len(room.paused_models) > len(passed_over)
        has_moved = packing.drafts or packing.rejections or packing.followers or rests_more
        if is_end or not (is_cut and has_moved):
            self.held += packing.held
            self._passed_over[company_id] = passed_over
            self.queue = [] if is_end else self.queue[1:]
        return packing

    def _claim(self, drafts: Sequence[Draft]) -> None:
        batches = [
            ClaimedBatch(
                lease=Lease(str(uuid.uuid4()), fence=1),
                company_id=draft.company_id,
                model=draft.model,
                requests=len(draft.candidates),
                tokens=draft.tokens,
                cost_eur=draft.cost_eur,
            )
            for draft in drafts
        ]
        which = claim_parameters([batch.id for batch in batches], drafts, self._holder)
        lots = {
            "suspect_of": [draft.suspect_of for draft in drafts],
            "lots": [draft.lot for draft in drafts],
        }
        claimed = self._connection.execute(SQL["claim"], which | lots)
        expect(claimed, len(which["request_ids"]), "claim")
        self.batches += batches

    def _reject(self, rejections: Sequence[Rejection]) -> None:
        rejected = self._connection.execute(
            SQL["reject_rows"],
            {
                "request_ids": [one.candidate.request_id for one in rejections],
                "company_ids": [one.candidate.company_id for one in rejections],
                "codes": [one.code for one in rejections],
                "reasons": [one.reason for one in rejections],
            },
        )
        expect(rejected, len(rejections), "reject_rows")
        bury(self._connection, rejections)
        self.rejected.update(one.code for one in rejections)


def _candidate(row: "Row[tuple[object, ...]]") -> Candidate:
    """A look reads thousands, of few companies and models: these are kept once."""
    shared = {name: intern(row._mapping[name]) for name in ("company_id", "model")}
    return Candidate(**{**row._mapping, **shared})
