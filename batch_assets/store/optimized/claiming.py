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
    held_by_cooldown,
    pack,
)
from batch_assets.domain.records import Lease
from batch_assets.store.base import SetQueries, expect
from batch_assets.store.claims import (
    ClaimSize,
    LimitsOfAll,
    Quotas,
    begin_claim,
    claim_parameters,
    end_rejected,
    kept_forecast,
    leave_to_next_look,
)
from batch_assets.store.database_errors import refuses_value
from batch_assets.store.protocol import Holder, Spent
from batch_assets.store.sessions import follow
from batch_assets.store.sql import load

SQL = load(Path(__file__).with_suffix(".sql"))


class ClaimQueries(SetQueries):
    """The part of `store.protocol.Queries` that claims from the intake."""

    def claim(
        self, company_ids: Sequence[str], terms: Terms, holder: Holder, spent: Spent
    ) -> Claim:
        """See `Queries.claim`; one transaction, and two or three statements for each look.

        If the database refuses a row, the others are claimed row by row.
        """
        try:
            return self._claim(company_ids, terms, holder, spent)
        except DBAPIError as error:
            if not refuses_value(error):
                raise
        return self.row_by_row.claim(company_ids, terms, holder, spent)

    def preview(self, company_ids: Sequence[str], terms: Terms) -> list[Packing]:
        """See `Queries.preview`: row by row, since people look at it now and then."""
        return self.row_by_row.preview(company_ids, terms)

    def _claim(
        self, company_ids: Sequence[str], terms: Terms, holder: Holder, spent: Spent
    ) -> Claim:
        with self.engine.begin() as connection:
            quotas = begin_claim(connection, terms, spent)
            claiming = _Claiming(connection, company_ids, terms, holder, quotas)
            while not claiming.is_over:
                claiming.look()
            claiming.count_passed_over()
        return Claim(
            tuple(claiming.batches), claiming.rejected, claiming.held, tuple(claiming.queue)
        )


class _Claiming:
    """One claim, in one transaction: looks at the companies in turn until there is enough."""

    def __init__(
        self,
        connection: Connection,
        company_ids: Sequence[str],
        terms: Terms,
        holder: Holder,
        quotas: Quotas,
    ) -> None:
        self.queue = list(company_ids)
        self.size = ClaimSize(terms.policy)
        self.batches: list[ClaimedBatch] = []
        self.rejected: Counter[str] = Counter()
        self.held: Counter[str] = Counter()
        self._connection = connection
        self._terms = terms
        self._holder = holder
        self._quotas = quotas
        self._limits = LimitsOfAll(terms.policy.rows_per_look)
        self._passed_over: dict[str, Mapping[str, str]] = {}
        """By company that is finished: models of which nothing was read, with the reason."""

    def look(self) -> None:
        """Read what waits for the companies in the queue, and claim what can be packed of it."""
        candidates, company_ids, is_cut = self._read()
        drafts: list[Draft] = []
        rejections: list[Rejection] = []
        followers: list[Candidate] = []
        for company_id in company_ids:
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
        return not self.queue or self.size.is_enough

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
                self.held[held_by_cooldown(row.model, reason)] += row.requests

    def _read(self) -> tuple[Mapping[str, Sequence[Candidate]], Sequence[str], bool]:
        """Candidates by company, and the companies that were read to their end.

        Or the first company alone, if it has more than is read at one time, and True.
        """
        limit = self._terms.policy.rows_of_look()
        while True:
            found = self._candidates(limit)
            by_company = {
                company_id: list(some)
                for company_id, some in groupby(found, attrgetter("company_id"))
            }
            if len(found) < limit:
                return by_company, self.queue, False
            whole = self.queue[: self.queue.index(found[-1].company_id)]
            models = len({candidate.model for candidate in found})
            enough = self._terms.policy.rows_of_look(models)
            if whole or limit >= enough:
                return by_company, whole or self.queue[:1], not whole
            limit = enough

    def _candidates(self, limit: int) -> list[Candidate]:
        which = {
            "company_ids": self.queue,
            "models_in_cooldown": list(self._quotas.models_in_cooldown),
            "only_model": self._terms.only_model,
            "account_name": self._terms.account_name,
            "limit": limit,
        }
        return [_candidate(row) for row in self._connection.execute(SQL["candidates"], which)]

    def _pack(self, company_id: str, found: Sequence[Candidate], *, is_cut: bool) -> Packing:
        """Pack what was found for the first company in the queue; it stays there if that is not all
        and something of it was moved."""
        passed_over = dict(self._quotas.models_in_cooldown)
        candidates = [candidate for candidate in found if candidate.model not in passed_over]
        quota = self._quotas.of(company_id, {candidate.model for candidate in candidates})
        packing = pack(candidates, self._terms, quota)
        is_left = leave_to_next_look(packing, self.size, is_cut=is_cut)
        self._quotas.take(packing.drafts, quota)
        self.size.add(packing.drafts)
        is_end = not is_left and self._limits.are_used_up(quota, packing)
        cools_more = len(quota.models_in_cooldown) > len(passed_over)
        has_moved = packing.drafts or packing.rejections or packing.followers or cools_more
        if is_end or not ((is_cut or is_left) and has_moved):
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
                is_priced=draft.price is not None,
                account_name=self._holder.account_name,
            )
            for draft in drafts
        ]
        which = claim_parameters([batch.id for batch in batches], drafts, self._holder)
        forecasts = [kept_forecast(self._quotas.history, draft) for draft in drafts]
        more = {
            "root_batch_id": [draft.root_batch_id for draft in drafts],
            "groups": [draft.bisection_group for draft in drafts],
            "p50_seconds": [p50_seconds for p50_seconds, _ in forecasts],
            "p90_seconds": [p90_seconds for _, p90_seconds in forecasts],
        }
        claimed = self._connection.execute(SQL["claim"], which | more)
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
        end_rejected(self._connection, rejections)
        self.rejected.update(one.code for one in rejections)


def _candidate(row: "Row[Any]") -> Candidate:
    """A look reads thousands, of few companies and models: these are kept once."""
    company_id, request_id, session_id, model, *others = tuple(row)
    return Candidate(request_id, session_id, intern(company_id), intern(model), *others)
