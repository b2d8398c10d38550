"""From waiting rows to claimed batches, a company and a row at a time."""

import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from sqlalchemy import Connection

from batch_assets.domain.batches import Claim, ClaimedBatch
from batch_assets.domain.packing import Draft, Packing, Rejection, Terms
from batch_assets.domain.records import Backlog, Conversation, Lease, Message
from batch_assets.store.original.base import EngineQueries, expect_one
from batch_assets.store.original.visits import total, visit_company
from batch_assets.store.protocol import Holder, Spent
from batch_assets.store.sql import load

SQL = load(Path(__file__).with_suffix(".sql"))


class ClaimQueries(EngineQueries):
    """The part of `store.protocol.Queries` that fills the intake and claims from it."""

    def notice_pending(self, company_ids: Sequence[str], limit: int) -> int:
        """See `Queries.notice_pending`."""
        noticed = 0
        for company_id in company_ids:
            with self.engine.begin() as connection:
                noticed += _notice(connection, company_id, limit)
        return noticed

    def pending_by_company(self, company_ids: Sequence[str]) -> list[Backlog]:
        """See `Queries.pending_by_company`."""
        with self.engine.begin() as connection:
            found = [_backlog(connection, company_id) for company_id in company_ids]
        waiting = [backlog for backlog in found if backlog.requests]
        return sorted(waiting, key=lambda backlog: -backlog.oldest_wait_seconds)

    def claim(
        self, company_ids: Sequence[str], terms: Terms, holder: Holder, spent: Spent
    ) -> Claim:
        """See `Queries.claim`."""
        claimed: list[ClaimedBatch] = []
        rejected: Counter[str] = Counter()
        held: Counter[str] = Counter()
        queue = list(company_ids)
        resting: Mapping[str, str] = {}
        while queue and len(claimed) < terms.policy.batches_per_claim:
            with self.engine.begin() as connection:
                one_claim_at_a_time(connection)
                visit = visit_company(connection, queue[0], terms, spent, resting)
                claimed += [
                    _claim_batch(connection, draft, holder) for draft in visit.packing.drafts
                ]
                for rejection in visit.packing.rejections:
                    _reject(connection, rejection)
                    rejected[rejection.code] += 1
            spent += total(visit.packing.drafts)
            resting = visit.resting
            if visit.is_last:
                held += visit.packing.held
                resting = {}
                queue.pop(0)
        return Claim(tuple(claimed), rejected, held, tuple(queue))

    def preview(self, company_ids: Sequence[str], terms: Terms) -> list[Packing]:
        """See `Queries.preview`: the claim's own steps in transactions that are rolled back."""
        packings: list[Packing] = []
        foreseen: list[Draft] = []
        with self.engine.connect() as connection:
            for company_id in company_ids:
                # One for each company, so that nobody waits long for what is locked here.
                with connection.begin() as transaction:
                    _notice(connection, company_id, terms.policy.rows_per_run)
                    if terms.policy.is_due(_backlog(connection, company_id)):
                        packing = _foresee(connection, company_id, terms, foreseen)
                        foreseen += packing.drafts
                        packings.append(packing)
                    transaction.rollback()
        return packings

    def conversations(self, batch_id: str) -> Iterator[Conversation]:
        """See `Queries.conversations`."""
        with self.engine.connect() as connection:
            heads = connection.execute(SQL["conversation_heads"], {"batch_id": batch_id}).all()
            for head in heads:
                lines = connection.execute(
                    SQL["messages_of_session"], {"session_id": head.session_id}
                )
                messages = tuple(Message(line.role, line.content) for line in lines)
                yield Conversation(
                    request_id=head.request_id,
                    session_id=head.session_id,
                    batch_id=batch_id,
                    model=head.model,
                    processing_type=head.processing_type,
                    messages=messages,
                )


def one_claim_at_a_time(connection: Connection) -> None:
    """Wait until no other transaction claims, and keep others from it until this one ends."""
    connection.execute(SQL["one_claim_at_a_time"])


def _notice(connection: Connection, company_id: str, limit: int) -> int:
    connection.execute(SQL["forget_gone"], {"company_id": company_id})
    parameters = {"company_id": company_id, "limit": limit}
    return connection.execute(SQL["notice_pending"], parameters).rowcount


def _backlog(connection: Connection, company_id: str) -> Backlog:
    row = connection.execute(SQL["pending_of_company"], {"company_id": company_id}).one()
    return Backlog(company_id, row.requests, row.oldest_wait_seconds)


def _foresee(
    connection: Connection, company_id: str, terms: Terms, foreseen: Sequence[Draft]
) -> Packing:
    """What all visits to one company would pack; takes that out of the intake."""
    whole = Packing()
    resting: Mapping[str, str] = {}
    while True:
        drafts = [*foreseen, *whole.drafts]
        visit = visit_company(
            connection, company_id, terms, total(drafts), resting, foreseen=drafts
        )
        whole.drafts += visit.packing.drafts
        whole.rejections += visit.packing.rejections
        if visit.is_last:
            whole.held = visit.packing.held
            return whole
        resting = visit.resting
        packed = [rejection.candidate for rejection in visit.packing.rejections]
        packed += [one for draft in visit.packing.drafts for one in draft.candidates]
        which = {"request_ids": [candidate.request_id for candidate in packed]}
        connection.execute(SQL["forget_packed"], which)


def _claim_batch(connection: Connection, draft: Draft, holder: Holder) -> ClaimedBatch:
    batch_id = str(uuid.uuid4())
    which = {"batch_id": batch_id, "company_id": draft.company_id}
    connection.execute(SQL["insert_livedash_batch"], which)
    connection.execute(
        SQL["insert_batch"],
        which
        | {
            "installation_id": holder.installation_id,
            "model": draft.model,
            "run_id": holder.run_id,
            "owner": holder.owner,
            "lease_seconds": holder.lease_seconds,
            "requests": len(draft.candidates),
            "tokens": draft.tokens,
            "cost_eur": draft.cost_eur,
        },
    )
    for candidate in draft.candidates:
        claimed = connection.execute(SQL["claim_row"], which | {"request_id": candidate.request_id})
        expect_one(claimed, "claim_row")
    return ClaimedBatch(
        lease=Lease(batch_id, fence=1),
        company_id=draft.company_id,
        model=draft.model,
        requests=len(draft.candidates),
        tokens=draft.tokens,
        cost_eur=draft.cost_eur,
    )


def _reject(connection: Connection, rejection: Rejection) -> None:
    rejected = connection.execute(
        SQL["reject_row"],
        {
            "request_id": rejection.candidate.request_id,
            "company_id": rejection.candidate.company_id,
            "code": rejection.code,
            "reason": rejection.reason,
        },
    )
    expect_one(rejected, "reject_row")
