"""From waiting rows to claimed batches, a company and a row at a time."""

import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from batch_assets.domain.batches import Claim, ClaimedBatch
from batch_assets.domain.packing import Candidate, Draft, Packing, Rejection, Terms
from batch_assets.domain.records import Lease
from batch_assets.store.base import EngineQueries, expect_one
from batch_assets.store.followers import end_followers, follow
from batch_assets.store.original.intake import backlog_of, forget_gone, notice
from batch_assets.store.original.visits import (
    Course,
    Load,
    Visit,
    count_passed_over,
    total,
    visit_company,
)
from batch_assets.store.protocol import Holder, Spent
from batch_assets.store.refused_values import refused_of, refuses_value
from batch_assets.store.session_stages import lock_sessions, restage
from batch_assets.store.sql import load
from batch_assets.store.troubles import concerns_all

SQL = load(Path(__file__).with_suffix(".sql"))

REFUSED: Final = "LiveDash's database refuses to change them"
"""Why requests are held that a CHECK or a type of LiveDash's, or an index, does not let move."""


class ClaimQueries(EngineQueries):
    """The part of `store.protocol.Queries` that claims from the intake."""

    def claim(
        self, company_ids: Sequence[str], terms: Terms, holder: Holder, spent: Spent
    ) -> Claim:
        """See `Queries.claim`."""
        claimed: list[ClaimedBatch] = []
        rejected: Counter[str] = Counter()
        held: Counter[str] = Counter()
        failed: dict[str, str] = {}
        queue = list(company_ids)
        load = Load(terms.policy)
        course = Course(countable=terms.policy.rows_per_look)
        while queue and not load.is_enough:
            try:
                visit, batches = self._claim_for(queue[0], terms, holder, spent, course)
            except DBAPIError as error:
                if concerns_all(error):
                    raise
                failed[queue.pop(0)] = type(error.orig).__name__
                continue
            claimed += batches
            rejected.update(rejection.code for rejection in visit.packing.rejections)
            load.add(visit.packing.drafts)
            spent += total(visit.packing.drafts)
            course = visit.course
            if visit.is_last:
                held += visit.packing.held
                queue = [] if visit.is_end else queue[1:]
        return Claim(tuple(claimed), rejected, held, tuple(queue), failed)

    def _claim_for(
        self, company_id: str, terms: Terms, holder: Holder, spent: Spent, course: Course
    ) -> tuple[Visit, list[ClaimedBatch]]:
        """Claim for one company; row by row, once more, if the database refuses one of them."""
        try:
            with self.engine.begin() as connection:
                one_claim_at_a_time(connection)
                visit = visit_company(connection, company_id, terms, spent, course)
                batches = _claim_packed(connection, visit.packing, holder)
                return _counted(connection, company_id, visit), batches
        except DBAPIError as error:
            if not refuses_value(error):
                raise
        with self.engine.begin() as connection:
            one_claim_at_a_time(connection)
            visit = visit_company(connection, company_id, terms, spent, course)
            batches = _claim_apart(connection, visit.packing, holder)
            # What was refused waits on, and would be met again at once.
            is_last = visit.is_last or bool(visit.packing.held[REFUSED])
            return _counted(connection, company_id, replace(visit, is_last=is_last)), batches

    def preview(self, company_ids: Sequence[str], terms: Terms) -> list[Packing]:
        """See `Queries.preview`: the claim's own steps in transactions that are rolled back."""
        packings: list[Packing] = []
        foreseen: list[Draft] = []
        course = Course(countable=terms.policy.rows_per_look)
        queue = list(company_ids)
        with self.engine.connect() as connection:
            while queue:
                # One for each company, so that nobody waits long for what is locked here.
                with connection.begin() as transaction:
                    company_id = queue.pop(0)
                    forget_gone(connection, company_id)
                    following = _foresee_noticing(connection, company_id, terms.policy.rows_per_run)
                    if terms.policy.is_due(backlog_of(connection, company_id)):
                        visit = _foresee(connection, company_id, terms, course, foreseen)
                        foreseen += visit.packing.drafts
                        visit.packing.followers += following
                        packings.append(visit.packing)
                        course = visit.course
                        queue = [] if visit.is_end else queue
                    transaction.rollback()
        return packings


def one_claim_at_a_time(connection: Connection) -> None:
    """Wait until no other transaction claims, and keep others from it until this one ends."""
    connection.execute(SQL["one_claim_at_a_time"])


def _counted(connection: Connection, company_id: str, visit: Visit) -> Visit:
    return count_passed_over(connection, company_id, visit) if visit.is_last else visit


def _foresee(
    connection: Connection,
    company_id: str,
    terms: Terms,
    course: Course,
    foreseen: Sequence[Draft],
) -> Visit:
    """The last visit to one company, with what all visits would pack; the intake loses that."""
    whole = Packing()
    while True:
        drafts = [*foreseen, *whole.drafts]
        visit = visit_company(connection, company_id, terms, total(drafts), course, foreseen=drafts)
        whole.drafts += visit.packing.drafts
        whole.rejections += visit.packing.rejections
        whole.followers += visit.packing.followers
        if visit.is_last:
            visit = count_passed_over(connection, company_id, visit)
            whole.held = visit.packing.held
            return replace(visit, packing=whole)
        course = visit.course
        packed = [rejection.candidate for rejection in visit.packing.rejections]
        packed += [one for draft in visit.packing.drafts for one in draft.candidates]
        packed += visit.packing.followers
        which = {"request_ids": [candidate.request_id for candidate in packed]}
        connection.execute(SQL["forget_packed"], which)


def _foresee_noticing(connection: Connection, company_id: str, limit: int) -> Sequence[Candidate]:
    """Let what waits come in, unless the database refuses some of it; who would follow another."""
    following: list[Candidate] = []

    def come_in(company_id: str) -> None:
        following.extend(notice(connection, company_id, limit)[1])

    refused_of(connection, [company_id], come_in)
    return following


def _claim_packed(connection: Connection, packing: Packing, holder: Holder) -> list[ClaimedBatch]:
    batches = []
    for draft in packing.drafts:
        batch = _intend(connection, draft, holder)
        for position, candidate in enumerate(draft.candidates, start=1):
            _claim_row(connection, batch, candidate, position)
        batches.append(batch)
    if packing.followers:
        follow(connection, packing.followers)
    for rejection in packing.rejections:
        _reject(connection, rejection)
    bury(connection, packing.rejections)
    return batches


def bury(connection: Connection, rejections: Sequence[Rejection]) -> None:
    """After these have become dead letters: let others take their places, and the stages say so."""
    if rejections:
        request_ids = [rejection.candidate.request_id for rejection in rejections]
        session_ids = lock_sessions(connection, request_ids)
        end_followers(connection, request_ids)
        restage(connection, session_ids)


def _claim_apart(connection: Connection, packing: Packing, holder: Holder) -> list[ClaimedBatch]:
    """The same, without what the database refuses: that waits on, and is counted as held."""
    batches = []
    refused = 0
    for draft in packing.drafts:
        batch = _intend(connection, draft, holder)
        taken: list[Candidate] = []

        def take(
            one: Candidate, batch: ClaimedBatch = batch, taken: list[Candidate] = taken
        ) -> None:
            _claim_row(connection, batch, one, len(taken) + 1)
            taken.append(one)

        refused += len(refused_of(connection, draft.candidates, take))
        which = {"batch_id": batch.id, "requests": len(taken)}
        if taken:
            connection.execute(SQL["recount"], which)
            batches.append(replace(batch, requests=len(taken)))
        else:
            connection.execute(SQL["withdraw"], which)
    refused += len(refused_of(connection, packing.followers, lambda one: follow(connection, [one])))

    def reject(one: Rejection) -> None:
        _reject(connection, one)
        bury(connection, [one])

    refused += len(refused_of(connection, packing.rejections, reject))
    packing.held[REFUSED] += refused
    return batches


def _intend(connection: Connection, draft: Draft, holder: Holder) -> ClaimedBatch:
    batch_id = str(uuid.uuid4())
    which = {"batch_id": batch_id, "company_id": draft.company_id}
    connection.execute(SQL["insert_livedash_batch"], which)
    connection.execute(
        SQL["insert_batch"],
        which
        | {
            "installation_id": holder.installation_id,
            "model": draft.model,
            "suspect_of": draft.suspect_of,
            "lot": draft.lot,
            "run_id": holder.run_id,
            "owner": holder.owner,
            "lease_seconds": holder.lease_seconds,
            "account": holder.account,
            "requests": len(draft.candidates),
            "tokens": draft.tokens,
            "cost_eur": draft.cost_eur,
        },
    )
    return ClaimedBatch(
        lease=Lease(batch_id, fence=1),
        company_id=draft.company_id,
        model=draft.model,
        requests=len(draft.candidates),
        tokens=draft.tokens,
        cost_eur=draft.cost_eur,
    )


def _claim_row(
    connection: Connection, batch: ClaimedBatch, candidate: Candidate, position: int
) -> None:
    row = {
        "batch_id": batch.id,
        "company_id": batch.company_id,
        "request_id": candidate.request_id,
        "position": position,
    }
    expect_one(connection.execute(SQL["claim_row"], row), "claim_row")


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
