"""Synchronous requests: asked for by a person, claimed apart from all others, marked as called.

Their batches are never on the server. This state is ours alone and has one implementation. What a
call was answered with is written, and such a batch finalized, by the queries that do so for
every ended batch.
"""

import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Final

from sqlalchemy import Connection

from batch_assets.domain.batches import BatchRow, SynchronousBatch, SynchronousClaim
from batch_assets.domain.lookups import Criteria
from batch_assets.domain.packing import (
    Candidate,
    Draft,
    Quota,
    Terms,
    held_by_cooldown,
    pack,
)
from batch_assets.domain.policy import NO_WAIT, FlexWait, SynchronousPolicy, Tier
from batch_assets.domain.records import Lease
from batch_assets.store.base import EngineQueries, columns_of, expect, flex_wait
from batch_assets.store.claims import (
    LimitsOfAll,
    Quotas,
    begin_claim,
    claim_parameters,
    has_nothing_left,
    total,
)
from batch_assets.store.connection_failures import retry_lost
from batch_assets.store.protocol import Holder, Spent
from batch_assets.store.sessions import follow
from batch_assets.store.sql import load

SQL = load(Path(__file__).with_suffix(".sql"))

_MOST_LOOKS: Final = 10
"""After so many that have found nothing to send, each twice as long, a claim ends."""


@dataclass(frozen=True, slots=True)
class SynchronousLot:
    """Which requests a claim is for: those that go by flex, or all others."""

    tier: Tier
    flex: FlexWait
    most: int | None = None
    """As many requests at most; without a number, as the policy has it."""


FULL_PRICE: Final = SynchronousLot(Tier.FULL, NO_WAIT)


@dataclass(frozen=True, slots=True)
class Outlook:
    """Of which models there are requests to send synchronously, and what the UTC day has used."""

    models: tuple[str, ...]
    models_now: tuple[str, ...]
    """Without those of which all waits for a retry date, since flex had no room for it."""
    day: Spent


@dataclass(frozen=True, slots=True)
class Ask:
    """A request that somebody has asked to be sent synchronously."""

    request_id: str
    company_id: str
    asked_by: str
    asked_at: datetime


class SynchronousBatches(EngineQueries):
    """Moves requests into synchronous batches and keeps which of them were called."""

    @retry_lost
    def outlook(self, late_after_seconds: float) -> Outlook:
        """See what is to be sent synchronously now; one statement."""
        with self.autocommit.connect() as connection:
            row = connection.execute(SQL["outlook"], {"late_after": late_after_seconds}).one()
        day = Spent(row.requests, row.cost_eur)
        return Outlook(tuple(row.models), tuple(row.models_now), day)

    def claim(
        self, terms: Terms, holder: Holder, spent: Spent, lot: SynchronousLot = FULL_PRICE
    ) -> SynchronousClaim:
        """Claim requests of one tier, as many at most as are meant; one transaction.

        The caps for all that is sent and the budgets for what is sent synchronously are checked in
        it, under the lock that lets one claim run at a time. `spent` is what the run has claimed so
        far. What can never be sent stays where it is, and is not asked for any more. A dead letter
        that asks what another request asks that is open, or claimed now, follows that one.
        """
        budgets = terms.policy.synchronous
        with self.engine.begin() as connection:
            quotas = begin_claim(connection, terms, spent)
            used = connection.execute(SQL["today"]).one()
            day = Spent(used.requests, used.cost_eur)
            connection.execute(SQL["forget_moot"])
            if Tier.FULL not in budgets.tiers:
                connection.execute(SQL["forget_unserved"], flex_wait(lot.flex))
            looks = _Looks(connection, terms, lot, quotas, spent, day)
            drafts = looks.packed()
            batches = _claim(connection, drafts, holder) if drafts else ()
            _follow_twins(connection)
        return SynchronousClaim(batches, looks.held)

    def mark_called(self, rows: Sequence[tuple[Lease, str]]) -> set[BatchRow]:
        """Note that these requests of such batches are about to be called; which of them may be.

        One statement, committed when it returns. What is missing in the answer must not be called:
        its lease was lost, it was called before or has left the batch, or its company is suspended.
        """
        leases = {lease.batch_id: lease for lease, _ in rows}
        which = columns_of(leases.values()) | {
            "of_batches": [lease.batch_id for lease, _ in rows],
            "request_ids": [request_id for _, request_id in rows],
        }
        with self.autocommit.connect() as connection:
            marked = connection.execute(SQL["mark_called"], which)
            return {(row.batch_id, row.request_id) for row in marked}

    @retry_lost
    def asks(self, request_ids: Sequence[str]) -> list[Ask]:
        """Which of these requests somebody has asked for; one statement."""
        with self.autocommit.connect() as connection:
            rows = connection.execute(SQL["asks"], {"request_ids": list(request_ids)})
            return [Ask(**row._mapping) for row in rows]

    @retry_lost
    def ask_again(self, asks: Sequence[Ask]) -> None:
        """Keep what was asked for and found no room; one statement."""
        which = {
            "request_ids": [one.request_id for one in asks],
            "of_companies": [one.company_id for one in asks],
            "asked_by": [one.asked_by for one in asks],
            "asked_at": [one.asked_at for one in asks],
        }
        with self.autocommit.connect() as connection:
            connection.execute(SQL["ask_again"], which)

    @retry_lost
    def called(self, batch_ids: Sequence[str]) -> list[BatchRow]:
        """The rows of these batches that were called and have no outcome: nobody knows it."""
        with self.autocommit.connect() as connection:
            rows = connection.execute(SQL["called"], {"batch_ids": list(batch_ids)})
            return [(row.batch_id, row.request_id) for row in rows]


@dataclass(slots=True)
class _Looks:
    """The looks of one claim for something that can be sent: each goes past what waits on.

    A request that is held says nothing of others of its company, which may cost less: it alone is
    gone past, and its company only once nothing is left of what bounds it, or as many were held as
    the longest look reads.
    """

    connection: Connection
    terms: Terms
    lot: SynchronousLot
    quotas: Quotas
    spent: Spent
    day: Spent
    held: Counter[str] = field(default_factory=Counter)
    companies: Counter[str] = field(default_factory=Counter)
    """How many requests of each were held."""
    passed_companies: set[str] = field(default_factory=set)
    models: set[str] = field(default_factory=set)
    """Those without a price."""
    requests: set[str] = field(default_factory=set)
    """Those that are held, or can never be sent."""

    def packed(self) -> list[Draft]:
        """What the first lot that has anything to send can pack, or nothing."""
        limits = LimitsOfAll(self._most)
        for look in range(_MOST_LOOKS):
            candidates = self._candidates(min(self._limit * 2**look, self._most))
            for start in range(0, len(candidates), self._limit):
                drafts, is_end = self._pack(candidates[start : start + self._limit], limits)
                if drafts or is_end:
                    return drafts
            if not candidates:
                break
        return []

    @property
    def _limit(self) -> int:
        return self.lot.most or self.terms.policy.synchronous.requests_per_claim

    @property
    def _most(self) -> int:
        """As many requests as the longest look reads."""
        return max(self._limit, self.terms.policy.rows_per_look)

    def _candidates(self, limit: int) -> list[Candidate]:
        which = {
            "account_name": self.terms.account_name,
            "limit": limit,
            "late_after": self.terms.policy.late_after_seconds,
            "is_flex": self.lot.tier is Tier.FLEX,
            "passed_companies": sorted(self.passed_companies),
            "passed_models": sorted(self.models),
            "passed_requests": sorted(self.requests),
            **flex_wait(self.lot.flex),
        }
        rows = self.connection.execute(SQL["candidates"], which)
        return [Candidate(**row._mapping) for row in rows]

    def _pack(self, found: Sequence[Candidate], limits: LimitsOfAll) -> tuple[list[Draft], bool]:
        """What can be sent of some, and whether nothing of anybody can be any more."""
        drafts: list[Draft] = []
        priced, unpriced = _with_price(found, self.terms)
        self.held.update(held_by_cooldown(one.model, "it has no price") for one in unpriced)
        self.models.update(one.model for one in unpriced)
        for company_id, candidates in _by_company(priced):
            quota = self.quotas.of(company_id, ())
            quota.batches = None  # None of these is one for the server.
            run, day = self.spent + total(drafts), self.day + total(drafts)
            _narrow(quota, self.terms.policy.synchronous, run=run, day=day)
            packing = pack(candidates, self.terms, quota)
            self.quotas.take(packing.drafts, Quota())
            drafts += packing.drafts
            self.held += packing.held
            never = [one.candidate.request_id for one in packing.rejections]
            if never:
                self.connection.execute(SQL["forget"], {"request_ids": never})
            self.requests.update(one.request_id for one in candidates)
            self.companies[company_id] += packing.held.total()
            if has_nothing_left(quota) or self.companies[company_id] >= self._most:
                self.passed_companies.add(company_id)
            if limits.are_used_up(quota, packing):
                return drafts, True
        return drafts, False


def _follow_twins(connection: Connection) -> None:
    twins = [Candidate(**row._mapping) for row in connection.execute(SQL["twins"])]
    if twins:
        follow(connection, twins)
        connection.execute(SQL["forget"], {"request_ids": [one.request_id for one in twins]})


def _with_price(
    candidates: Sequence[Candidate], terms: Terms
) -> tuple[list[Candidate], list[Candidate]]:
    """Those of models with a price, and those without: their cost could not be bounded."""
    priced = {model for model in {one.model for one in candidates} if terms.price_of(model)}
    return (
        [one for one in candidates if one.model in priced],
        [one for one in candidates if one.model not in priced],
    )


def _by_company(candidates: Sequence[Candidate]) -> list[tuple[str, list[Candidate]]]:
    """The companies in the order in which their first candidates come, and all of each one's."""
    first = {one.company_id: place for place, one in reversed(list(enumerate(candidates)))}
    ordered = sorted(candidates, key=lambda one: first[one.company_id])
    return [
        (company_id, list(some)) for company_id, some in groupby(ordered, attrgetter("company_id"))
    ]


def _narrow(quota: Quota, budgets: SynchronousPolicy, *, run: Spent, day: Spent) -> None:
    """Leave no more than the budgets for these do; cooldowns are for batches alone."""
    quota.models_in_cooldown.clear()
    quota.requests["synchronous, run"] = budgets.run_requests - run.requests
    quota.requests["synchronous, day"] = budgets.day_requests - day.requests
    quota.cost_eur["synchronous, day"] = budgets.day_cost_eur - day.cost_eur


def _claim(
    connection: Connection, drafts: Sequence[Draft], holder: Holder
) -> tuple[SynchronousBatch, ...]:
    batches = tuple(
        SynchronousBatch(
            lease=Lease(str(uuid.uuid4()), fence=1),
            company_id=draft.company_id,
            model=draft.model,
            requests=len(draft.candidates),
            cost_eur=draft.cost_eur,
            price=draft.price,
            account_name=holder.account_name,
        )
        for draft in drafts
    )
    which = claim_parameters([batch.id for batch in batches], drafts, holder)
    # What is charged is known once the answer names its tier.
    which["prices"] = [one.price.as_json(with_tiers=True) for one in drafts if one.price]
    expect(connection.execute(SQL["claim"], which), len(which["request_ids"]), "claim")
    return batches


@dataclass(frozen=True, slots=True)
class Choice:
    """A request that may be sent synchronously if somebody asks for it."""

    candidate: Candidate
    company: str
    """The company's name."""
    code: str | None
    """Of its last failure; `None` for one that waits."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What was asked for and is not yet called, and what the UTC day has used up of its budget."""

    asked: int
    today_requests: int
    today_cost_eur: float


class SynchronousRequests(EngineQueries):
    """One statement each."""

    @retry_lost
    def choose(self, criteria: Criteria, limit: int) -> list[Choice]:
        """At most `limit` of those that are meant, by company and code.

        Failed requests that are to be retried or are dead; with nothing but ids also waiting ones.
        """
        only_ids = criteria == replace(Criteria(), request_ids=criteria.request_ids)
        waiting_ids = list(criteria.request_ids or []) if only_ids else []
        which = asdict(criteria) | {"waiting_ids": waiting_ids, "limit": limit}
        with self.autocommit.connect() as connection:
            rows = connection.execute(SQL["choose"], which)
            return [
                Choice(
                    Candidate(
                        request_id=row.request_id,
                        session_id=row.session_id,
                        company_id=row.company_id,
                        model=row.model,
                        processing_type=row.processing_type,
                        message_count=row.message_count,
                        content_bytes=row.content_bytes,
                    ),
                    row.company,
                    row.code,
                )
                for row in rows
            ]

    @retry_lost
    def not_to_send(self, request_ids: Sequence[str]) -> list[tuple[str, str]]:
        """Which of these ids neither wait nor have failed with us, or are of an inactive company.

        Each comes with what it is instead: LiveDash's status, `inactive`, or empty for no request.
        """
        with self.autocommit.connect() as connection:
            rows = connection.execute(SQL["states"], {"request_ids": list(request_ids)}).all()
        wrong = []
        for row in rows:
            waits = row.status == "PENDING_BATCHING" and not row.is_in_batch
            has_failed = row.is_ours and (row.status == "PROCESSING_FAILED" or not row.is_in_batch)
            if not (waits or has_failed):
                wrong.append((row.request_id, row.status or ""))
            elif not row.is_active:
                wrong.append((row.request_id, "inactive"))
        return wrong

    @retry_lost
    def ask(self, candidates: Sequence[Candidate], asked_by: str) -> int:
        """Keep that these are to be sent synchronously; how many were not asked for before."""
        which = {
            "request_ids": [one.request_id for one in candidates],
            "of_companies": [one.company_id for one in candidates],
            "asked_by": asked_by,
        }
        with self.autocommit.connect() as connection:
            return connection.execute(SQL["ask"], which).rowcount

    @retry_lost
    def standing(self) -> Standing:
        """How much is asked for, and what was claimed today."""
        with self.autocommit.connect() as connection:
            return Standing(**connection.execute(SQL["standing"]).one()._mapping)
