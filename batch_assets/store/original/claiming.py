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
from batch_assets.domain.packing import Candidate, Draft, Estimate, Packing, Rejection, Terms
from batch_assets.domain.records import Lease
from batch_assets.domain.turnarounds import TurnaroundHistory
from batch_assets.store.base import EngineQueries, expect
from batch_assets.store.claims import (
    ClaimSize,
    LimitsOfAll,
    end_rejected,
    history_of,
    kept_forecast,
    total,
)
from batch_assets.store.database_errors import concerns_all, refused_of, refuses_value
from batch_assets.store.original.company_pass import (
    ClaimProgress,
    CompanyPass,
    count_passed_over,
    pass_company,
)
from batch_assets.store.original.intake import backlog_of, forget_gone, notice, oldest_first
from batch_assets.store.protocol import Holder, Spent
from batch_assets.store.sessions import follow
from batch_assets.store.sql import load

SQL = load(Path(__file__).with_suffix(".sql"))

REFUSED: Final = "LiveDash's database refuses to change them"
"""Why requests are held that a CHECK or a type of LiveDash's, or an index, does not let move."""


_Row = tuple[Candidate, Estimate]
"""A request of a draft."""


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
        size = ClaimSize(terms.policy)
        with self.autocommit.connect() as connection:
            history = history_of(connection.execute(SQL["past_batches"]))
        most = terms.policy.rows_per_look
        progress = ClaimProgress(most, size, LimitsOfAll(most), history=history)
        while queue and not size.is_enough:
            try:
                done, batches = self._claim_for(queue[0], terms, holder, spent, progress)
            except DBAPIError as error:
                if concerns_all(error):
                    raise
                failed[queue.pop(0)] = type(error.orig).__name__
                continue
            claimed += batches
            rejected.update(rejection.code for rejection in done.packing.rejections)
            size.add(done.packing.drafts)
            spent += total(done.packing.drafts)
            progress = done.progress
            if done.is_last:
                held += done.packing.held
                queue = [] if done.is_end else queue[1:]
        return Claim(tuple(claimed), rejected, held, tuple(queue), failed)

    def _claim_for(
        self, company_id: str, terms: Terms, holder: Holder, spent: Spent, progress: ClaimProgress
    ) -> tuple[CompanyPass, list[ClaimedBatch]]:
        """Claim for one company; row by row, once more, if the database refuses one of them."""
        try:
            with self.engine.begin() as connection:
                lock_claims(connection)
                done = pass_company(connection, company_id, terms, spent, progress)
                batches = _claim_packed(connection, done.packing, holder, progress.history)
                return _counted(connection, company_id, done), batches
        except DBAPIError as error:
            if not refuses_value(error):
                raise
        with self.engine.begin() as connection:
            lock_claims(connection)
            done = pass_company(connection, company_id, terms, spent, progress)
            batches = _claim_apart(connection, done.packing, holder, progress.history)
            # What was refused waits on, and would be met again at once.
            is_last = done.is_last or bool(done.packing.held[REFUSED])
            return _counted(connection, company_id, replace(done, is_last=is_last)), batches

    def preview(self, company_ids: Sequence[str], terms: Terms) -> list[Packing]:
        """See `Queries.preview`: the claim's own steps in transactions that are rolled back."""
        packings: list[Packing] = []
        foreseen: list[Draft] = []
        most_read, most = terms.policy.rows_per_look, terms.policy.rows_per_run
        progress = ClaimProgress(most_read, ClaimSize(terms.policy), LimitsOfAll(most_read))
        with self.engine.connect() as connection:
            # A transaction for each company, so that nobody waits long for what is locked in it.
            # Each is noticed twice, since what has waited longest comes first under a cap.
            found = []
            for company_id in company_ids:
                with connection.begin() as transaction:
                    _foresee_noticing(connection, company_id, most)
                    found.append(backlog_of(connection, company_id, terms.account_name))
                    transaction.rollback()
            for backlog in filter(terms.policy.due_rule.is_due, oldest_first(found)):
                with connection.begin() as transaction:
                    following = _foresee_noticing(connection, backlog.company_id, most)
                    done = _foresee(connection, backlog.company_id, terms, progress, foreseen)
                    transaction.rollback()
                foreseen += done.packing.drafts
                done.packing.followers += following
                packings.append(done.packing)
                progress = done.progress
                if done.is_end:
                    break
        return packings


def lock_claims(connection: Connection) -> None:
    """Wait until no other transaction claims, and keep others from it until this one ends."""
    connection.execute(SQL["lock_claims"])


def _counted(connection: Connection, company_id: str, done: CompanyPass) -> CompanyPass:
    return count_passed_over(connection, company_id, done) if done.is_last else done


def _foresee(
    connection: Connection,
    company_id: str,
    terms: Terms,
    progress: ClaimProgress,
    foreseen: Sequence[Draft],
) -> CompanyPass:
    """The last pass over one company, with what all passes would pack; the intake loses that."""
    whole = Packing()
    while True:
        drafts = [*foreseen, *whole.drafts]
        done = pass_company(connection, company_id, terms, total(drafts), progress, foreseen=drafts)
        whole.drafts += done.packing.drafts
        whole.rejections += done.packing.rejections
        whole.followers += done.packing.followers
        if done.is_last:
            done = count_passed_over(connection, company_id, done)
            whole.held = done.packing.held
            return replace(done, packing=whole)
        progress = done.progress
        packed = [rejection.candidate for rejection in done.packing.rejections]
        packed += [one for draft in done.packing.drafts for one in draft.candidates]
        packed += done.packing.followers
        which = {"request_ids": [candidate.request_id for candidate in packed]}
        connection.execute(SQL["forget_packed"], which)


def _foresee_noticing(connection: Connection, company_id: str, limit: int) -> Sequence[Candidate]:
    """Let what waits come in, unless the database refuses some of it; who would follow another."""
    forget_gone(connection, company_id)
    following: list[Candidate] = []

    def come_in(company_id: str) -> None:
        found = limit
        while found >= limit:
            noticed, others = notice(connection, company_id, limit)
            following.extend(others)
            found = noticed + len(others)

    refused_of(connection, [company_id], come_in)
    return following


def _claim_packed(
    connection: Connection, packing: Packing, holder: Holder, history: TurnaroundHistory
) -> list[ClaimedBatch]:
    batches = []
    for draft in packing.drafts:
        batch = _intend(connection, draft, holder, history)
        for position, row in enumerate(
            zip(draft.candidates, draft.estimates, strict=True), start=1
        ):
            _claim_row(connection, batch, row, position)
        batches.append(batch)
    if packing.followers:
        follow(connection, packing.followers)
    for rejection in packing.rejections:
        _reject(connection, rejection)
    end_rejected(connection, packing.rejections)
    return batches


def _claim_apart(
    connection: Connection, packing: Packing, holder: Holder, history: TurnaroundHistory
) -> list[ClaimedBatch]:
    """The same, without what the database refuses: that waits on, and is counted as held."""
    batches = []
    refused = 0
    for draft in packing.drafts:
        batch = _intend(connection, draft, holder, history)
        rows = list(zip(draft.candidates, draft.estimates, strict=True))
        taken: list[_Row] = []

        def take(one: _Row, batch: ClaimedBatch = batch, taken: list[_Row] = taken) -> None:
            _claim_row(connection, batch, one, len(taken) + 1)
            taken.append(one)

        refused += len(refused_of(connection, rows, take))
        which = {"batch_id": batch.id, "requests": len(taken)}
        if taken:
            connection.execute(SQL["recount"], which)
            batches.append(replace(batch, requests=len(taken)))
        else:
            connection.execute(SQL["withdraw"], which)
    refused += len(refused_of(connection, packing.followers, lambda one: follow(connection, [one])))

    def reject(one: Rejection) -> None:
        _reject(connection, one)
        end_rejected(connection, [one])

    refused += len(refused_of(connection, packing.rejections, reject))
    packing.held[REFUSED] += refused
    return batches


def _intend(
    connection: Connection, draft: Draft, holder: Holder, history: TurnaroundHistory
) -> ClaimedBatch:
    batch_id = str(uuid.uuid4())
    p50_seconds, p90_seconds = kept_forecast(history, draft)
    which = {"batch_id": batch_id, "company_id": draft.company_id}
    connection.execute(SQL["insert_livedash_batch"], which)
    connection.execute(
        SQL["insert_batch"],
        which
        | {
            "installation_id": holder.installation_id,
            "model": draft.model,
            "root_batch_id": draft.root_batch_id,
            "group": draft.bisection_group,
            "run_id": holder.run_id,
            "owner": holder.owner,
            "lease_seconds": holder.lease_seconds,
            "account": holder.account,
            "account_name": holder.account_name,
            "requests": len(draft.candidates),
            "tokens": draft.tokens,
            "cost_eur": draft.cost_eur,
            "price": None if draft.price is None else draft.price.as_json(),
            "p50_seconds": p50_seconds,
            "p90_seconds": p90_seconds,
        },
    )
    return ClaimedBatch(
        lease=Lease(batch_id, fence=1),
        company_id=draft.company_id,
        model=draft.model,
        requests=len(draft.candidates),
        tokens=draft.tokens,
        cost_eur=draft.cost_eur,
        is_priced=draft.price is not None,
        account_name=holder.account_name,
    )


def _claim_row(connection: Connection, batch: ClaimedBatch, row: _Row, position: int) -> None:
    candidate, estimate = row
    columns = {
        "batch_id": batch.id,
        "company_id": batch.company_id,
        "request_id": candidate.request_id,
        "position": position,
        "text_bytes": estimate.text_bytes,
        "estimated_cost_eur": estimate.cost_eur,
    }
    expect(connection.execute(SQL["claim_row"], columns), 1, "claim_row")


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
    expect(rejected, 1, "reject_row")
