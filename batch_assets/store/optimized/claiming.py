"""From waiting rows to claimed batches, for all companies at once."""

import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from pathlib import Path

from sqlalchemy import Connection

from batch_assets.domain.batches import Claim, ClaimedBatch
from batch_assets.domain.packing import (
    Candidate,
    Draft,
    Rejection,
    Terms,
    held_by_rest,
    pack,
)
from batch_assets.domain.records import Backlog, Conversation, Lease, Message
from batch_assets.store.optimized.base import expect
from batch_assets.store.optimized.rooms import Rooms
from batch_assets.store.original.claiming import ClaimQueries as OriginalClaimQueries
from batch_assets.store.original.claiming import one_claim_at_a_time
from batch_assets.store.protocol import Holder, Spent
from batch_assets.store.sql import load

SQL = load(Path(__file__).with_suffix(".sql"))

CONVERSATIONS_A_FETCH = 100


class ClaimQueries(OriginalClaimQueries):
    """The part of `store.protocol.Queries` that fills the intake and claims from it.

    The preview is the original's: it is for people, who look at it now and then.
    """

    def notice_pending(self, company_ids: Sequence[str], limit: int) -> int:
        """See `Queries.notice_pending`; two statements."""
        which = {"company_ids": list(company_ids)}
        with self.engine.begin() as connection:
            connection.execute(SQL["forget_gone"], which)
            return connection.execute(SQL["notice_pending"], which | {"limit": limit}).rowcount

    def pending_by_company(self, company_ids: Sequence[str]) -> list[Backlog]:
        """See `Queries.pending_by_company`; one statement."""
        with self.engine.begin() as connection:
            rows = connection.execute(SQL["pending_by_company"], {"company_ids": list(company_ids)})
            return [Backlog(**row._mapping) for row in rows]

    def claim(
        self, company_ids: Sequence[str], terms: Terms, holder: Holder, spent: Spent
    ) -> Claim:
        """See `Queries.claim`; one transaction, and some five statements for each look."""
        with self.engine.begin() as connection:
            one_claim_at_a_time(connection)
            claiming = _Claiming(connection, company_ids, terms, holder, spent)
            while claiming.queue and not claiming.is_enough:
                claiming.look()
        return Claim(
            tuple(claiming.batches), claiming.rejected, claiming.held, tuple(claiming.queue)
        )

    def conversations(self, batch_id: str) -> Iterator[Conversation]:
        """See `Queries.conversations`; one statement, fetched in parts by a cursor."""
        in_parts = {"yield_per": CONVERSATIONS_A_FETCH}
        with self.engine.begin() as connection:
            rows = connection.execute(
                SQL["conversations"], {"batch_id": batch_id}, execution_options=in_parts
            )
            for row in rows:
                pairs = zip(row.roles or (), row.contents or (), strict=True)
                yield Conversation(
                    request_id=row.request_id,
                    session_id=row.session_id,
                    batch_id=batch_id,
                    model=row.model,
                    processing_type=row.processing_type,
                    messages=tuple(Message(role, content) for role, content in pairs),
                )


class _Claiming:
    """One claim, in one transaction: looks at the companies in turn until there is enough."""

    def __init__(
        self,
        connection: Connection,
        company_ids: Sequence[str],
        terms: Terms,
        holder: Holder,
        spent: Spent,
    ) -> None:
        self.queue = list(company_ids)
        self.batches: list[ClaimedBatch] = []
        self.rejected: Counter[str] = Counter()
        self.held: Counter[str] = Counter()
        self._connection = connection
        self._terms = terms
        self._holder = holder
        self._rooms = Rooms(connection.execute(SQL["used"]).one(), terms.policy, spent)
        self._resting: dict[str, Mapping[str, str]] = {}
        """By company: models that an earlier look found to have no room left."""

    @property
    def is_enough(self) -> bool:
        """Whether the next batch is for the next claim."""
        return len(self.batches) >= self._terms.policy.batches_per_claim

    def look(self) -> None:
        """Read what waits for the companies in the queue, and claim what can be packed of it."""
        candidates, visited, is_cut = self._read()
        finished: list[tuple[str, Mapping[str, str]]] = []
        drafts: list[Draft] = []
        rejections: list[Rejection] = []
        for company_id in visited:
            if len(self.batches) + len(drafts) >= self._terms.policy.batches_per_claim:
                break
            found = candidates.get(company_id, ())
            models = {candidate.model for candidate in found}
            room = self._rooms.room(company_id, self._resting.get(company_id, {}), models)
            passed_over = dict(room.paused_models)
            packing = pack(found, self._terms, room)
            self._rooms.take(packing.drafts)
            drafts += packing.drafts
            rejections += packing.rejections
            self._resting[company_id] = room.paused_models
            rests_more = len(room.paused_models) > len(passed_over)
            if not (is_cut and (packing.drafts or packing.rejections or rests_more)):
                finished.append((company_id, passed_over))
                self.held += packing.held
        self.queue = self.queue[len(finished) :]
        self._write(drafts, rejections)
        self._count_passed_over(finished)

    def _read(self) -> tuple[Mapping[str, Sequence[Candidate]], Sequence[str], bool]:
        """Candidates by company, and the companies that were read to their end.

        Or the first company alone, if it has more than can be read at one time, and True.
        """
        limit = self._terms.policy.rows_per_look
        which = {
            "company_ids": self.queue,
            "limit": limit,
            **_pairs((company_id, self._passed_over(company_id)) for company_id in self.queue),
        }
        rows = self._connection.execute(SQL["candidates"], which)
        found = [Candidate(**row._mapping) for row in rows]
        by_company = {
            company_id: list(some) for company_id, some in groupby(found, attrgetter("company_id"))
        }
        if len(found) < limit:
            return by_company, self.queue, False
        whole = self.queue[: self.queue.index(found[-1].company_id)]
        return by_company, whole or self.queue[:1], not whole

    def _passed_over(self, company_id: str) -> Mapping[str, str]:
        return {**self._rooms.paused_models, **self._resting.get(company_id, {})}

    def _write(self, drafts: Sequence[Draft], rejections: Sequence[Rejection]) -> None:
        if drafts:
            self._claim(drafts)
        if rejections:
            self._reject(rejections)

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
        self._connection.execute(
            SQL["insert_batches"],
            {
                "batch_ids": [batch.id for batch in batches],
                "company_ids": [batch.company_id for batch in batches],
                "models": [batch.model for batch in batches],
                "requests": [batch.requests for batch in batches],
                "tokens": [batch.tokens for batch in batches],
                "costs_eur": [batch.cost_eur for batch in batches],
                "installation_id": self._holder.installation_id,
                "run_id": self._holder.run_id,
                "owner": self._holder.owner,
                "lease_seconds": self._holder.lease_seconds,
            },
        )
        rows = [
            (candidate.request_id, batch.id, batch.company_id)
            for batch, draft in zip(batches, drafts, strict=True)
            for candidate in draft.candidates
        ]
        request_ids, of_batches, of_companies = (list(column) for column in zip(*rows, strict=True))
        claimed = self._connection.execute(
            SQL["claim_rows"],
            {
                "request_ids": request_ids,
                "of_batches": of_batches,
                "of_companies": of_companies,
            },
        )
        expect(claimed, len(rows), "claim_rows")
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
        self.rejected.update(one.code for one in rejections)

    def _count_passed_over(self, finished: Sequence[tuple[str, Mapping[str, str]]]) -> None:
        """Count the requests of models that were passed over, for companies that are finished."""
        reasons = dict(finished)
        which = _pairs(finished)
        if which["resting_models"]:
            for row in self._connection.execute(SQL["resting"], which):
                reason = reasons[row.company_id][row.model]
                self.held[held_by_rest(row.model, reason)] += row.requests


def _pairs(resting: Iterable[tuple[str, Iterable[str]]]) -> dict[str, list[str]]:
    """Companies and models that rest for them, as two arrays of one length."""
    pairs = [(company_id, model) for company_id, models in resting for model in models]
    return {
        "resting_companies": [company_id for company_id, _ in pairs],
        "resting_models": [model for _, model in pairs],
    }
