"""Budgets by company and in all, by day and month, checked in the claim's own transaction."""

import random
import threading
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from batch_assets.domain.batches import Claim, InFlightBatch
from batch_assets.domain.budgets import ALL_COMPANIES, Budget, BudgetUse, Period
from batch_assets.domain.money import Cost, Rates, read_price
from batch_assets.domain.packing import BEYOND_A_WHOLE_CAP, CAP_ON_COST, held_by_cooldown
from batch_assets.domain.policy import Caps, Policy
from batch_assets.store.budgets import StoredBudgets
from batch_assets.store.claims import begin_claim
from batch_assets.store.daily_costs import DailyCosts
from batch_assets.store.forecasts import Standings
from batch_assets.store.protocol import Spent
from batch_assets_tests.policies import a_policy
from batch_assets_tests.store.queries.support import COST, Desk, completed, terms

FREE = a_policy()
EVERYBODY = [ALL_COMPANIES, "company"]
"""Whose budget a test is about."""


def requests(claim: Claim) -> int:
    return sum(batch.requests for batch in claim.batches)


def allow(desk: Desk, company_id: str, period: Period, eur: float) -> None:
    StoredBudgets(desk.engine).set([Budget(company_id, period, eur)], "the tests")


def use_of(desk: Desk, company_id: str, period: Period = Period.MONTH) -> BudgetUse:
    (use,) = [
        use
        for use in StoredBudgets(desk.engine).uses()
        if (use.company_id, use.period) == (company_id, period)
    ]
    return use


def move(desk: Desk, batch_id: str, to: str) -> None:
    """Let a batch have been claimed at another moment: an expression of SQL."""
    desk.do(f"UPDATE batch_assets.batch SET claimed_at = {to} WHERE id = :id", id=batch_id)


@pytest.fixture
def unit_cost(desk: Desk) -> float:
    """What one request is estimated to cost."""
    company_id, _ = desk.company(1)
    (batch,) = desk.claim(company_id).batches
    desk.queries.release([batch.lease])
    desk.do('DELETE FROM public."AIProcessingRequest"')
    return batch.cost_eur


@pytest.mark.parametrize("period", Period)
@pytest.mark.parametrize("whose", EVERYBODY)
def test_what_goes_beyond_a_budget_waits_and_says_until_when(
    desk: Desk, unit_cost: float, whose: str, period: Period
) -> None:
    company_id, _ = desk.company(5)
    whose = company_id if whose else whose
    allow(desk, whose, period, 3.5 * unit_cost)
    claim = desk.claim(company_id)
    assert requests(claim) == 3
    use = use_of(desk, whose, period)
    assert use.spent_eur == pytest.approx(3 * unit_cost)
    assert claim.held == {use.held_reason: 2}
    today = datetime.now(UTC).date()
    assert use.today == today
    assert (
        f" for {period.named(today)} has too little left: goes on {period.begins_anew(today)} "
        in (use.held_reason)
    )
    again = desk.claim(company_id)
    assert (requests(again), again.held) == (0, {use.held_reason: 2})
    allow(desk, whose, period, 5.5 * unit_cost)
    assert requests(desk.claim(company_id)) == 2


def test_without_a_budget_nothing_waits(desk: Desk) -> None:
    company_id, _ = desk.company(5)
    allow(desk, "another", Period.DAY, 0.0)
    claim = desk.claim(company_id)
    assert (requests(claim), claim.held) == (5, {})


def test_the_budget_of_one_company_ends_nothing_for_others(desk: Desk, unit_cost: float) -> None:
    companies = [desk.company(4)[0] for _ in range(3)]
    allow(desk, companies[1], Period.MONTH, 1.5 * unit_cost)
    claim = desk.claim(*companies)
    assert [(one.company_id, one.requests) for one in claim.batches] == [
        (companies[0], 4),
        (companies[1], 1),
        (companies[2], 4),
    ]


def test_a_budget_of_all_ends_the_claim_where_it_is_reached(desk: Desk, unit_cost: float) -> None:
    companies = [desk.company(4)[0] for _ in range(3)]
    allow(desk, ALL_COMPANIES, Period.DAY, 5.5 * unit_cost)
    claim = desk.claim(*companies)
    assert [(batch.company_id, batch.requests) for batch in claim.batches] == [
        (companies[0], 4),
        (companies[1], 1),
    ]
    # What waits for the third company was not looked at.
    assert sum(claim.held.values()) == 3
    assert claim.remaining == ()


LONG = [("user", "word " * 4_000)]


@pytest.mark.parametrize("limit", ["budget", "cap"])
def test_what_never_fits_waits_alone_and_says_so(desk: Desk, unit_cost: float, limit: str) -> None:
    first, _ = desk.company(1, messages=LONG, age=timedelta(days=1))
    desk.more(first, 2)
    other, _ = desk.company(4, age=timedelta(hours=1))
    caps, reason = Caps(day_cost_eur=6.5 * unit_cost), BEYOND_A_WHOLE_CAP
    if limit == "budget":
        allow(desk, ALL_COMPANIES, Period.MONTH, 6.5 * unit_cost)
        caps, reason = Caps(), use_of(desk, ALL_COMPANIES).too_small_reason
    policy = a_policy(caps=caps)
    (packing, rest) = desk.queries.preview([first, other], terms(policy))
    claim = desk.claim(first, other, policy=policy)
    sent = [(batch.company_id, batch.requests) for batch in claim.batches]
    assert sent == [(first, 2), (other, 4)]
    assert packing.held + rest.held == claim.held == {reason: 1}
    desk.more(other, 1)
    # There is less left than anything takes: that it was no more than it held says nothing.
    again = desk.claim(first, other, policy=policy)
    assert again.batches == ()
    assert again.held[reason] == 1
    assert sum(again.held.values()) == 2


@pytest.mark.parametrize("limit", ["budget", "cap"])
def test_what_is_more_than_is_left_does_not_keep_others_from_it(
    desk: Desk, unit_cost: float, limit: str
) -> None:
    desk.claimed(4)
    # It fits into the whole budget, and not into what is left; the others do.
    first, _ = desk.company(1, messages=LONG, age=timedelta(days=1))
    others = [desk.company(3)[0] for _ in range(2)]
    (dear,) = desk.queries.preview([first], terms())
    whole = dear.drafts[0].cost_eur + 3.5 * unit_cost
    policy = a_policy(caps=Caps(day_cost_eur=whole)) if limit == "cap" else a_policy()
    if limit == "budget":
        allow(desk, ALL_COMPANIES, Period.MONTH, whole)
    claim = desk.claim(first, *others, policy=policy)
    assert [batch.company_id for batch in claim.batches] == others
    (reason,) = claim.held
    assert reason == (use_of(desk, ALL_COMPANIES).held_reason if limit == "budget" else CAP_ON_COST)


def test_nobody_looks_through_a_backlog_for_what_a_little_is_enough_for(
    desk: Desk, unit_cost: float
) -> None:
    desk.claimed(2)
    companies = [desk.company(3)[0] for _ in range(4)]
    allow(desk, ALL_COMPANIES, Period.MONTH, 2.5 * unit_cost)
    claim = desk.claim(*companies, policy=a_policy(rows_per_look=5, max_batch_requests=5))
    assert (claim.batches, claim.remaining) == ((), ())
    # Two companies' were looked at, and that was enough.
    assert claim.held == {use_of(desk, ALL_COMPANIES).held_reason: 6}


def test_a_budget_of_nothing_lets_no_request_of_a_free_model_through(desk: Desk) -> None:
    company_id, _ = desk.company(2)
    for period in Period:
        allow(desk, company_id, period, 0.0)
    claim = desk.claim(company_id, price=read_price("free"))
    assert claim.batches == ()
    use = use_of(desk, company_id)
    assert claim.held == {use.held_reason: 2}
    assert " is 0: nothing goes on before " in use.held_reason
    allow(desk, company_id, Period.DAY, 0.1)
    allow(desk, company_id, Period.MONTH, 0.1)
    assert requests(desk.claim(company_id, price=read_price("free"))) == 2


def test_of_several_budgets_the_tightest_holds_and_the_longest_is_the_reason(
    desk: Desk, unit_cost: float
) -> None:
    company_id, _ = desk.company(6)
    allow(desk, company_id, Period.MONTH, 4.5 * unit_cost)
    allow(desk, company_id, Period.DAY, 2.5 * unit_cost)
    allow(desk, ALL_COMPANIES, Period.MONTH, 3.5 * unit_cost)
    first = desk.claim(company_id)
    assert requests(first) == 2
    assert list(first.held) == [use_of(desk, company_id, Period.DAY).held_reason]
    allow(desk, company_id, Period.DAY, 0.0)
    allow(desk, company_id, Period.MONTH, 0.0)
    assert list(desk.claim(company_id).held) == [use_of(desk, company_id).held_reason]


def test_the_month_turns_at_midnight_utc_and_so_does_the_day(desk: Desk, unit_cost: float) -> None:
    batch, _ = desk.claimed(3)
    company_id, _ = desk.company(9)
    allow(desk, ALL_COMPANIES, Period.MONTH, 5.5 * unit_cost)
    allow(desk, ALL_COMPANIES, Period.DAY, 5.5 * unit_cost)

    def spent() -> list[float]:
        uses = [use_of(desk, ALL_COMPANIES, period) for period in Period]
        return [round(use.spent_eur / unit_cost) for use in uses]

    assert spent() == [3, 3]
    move(desk, batch.id, "date_trunc('month', now(), 'UTC')")
    is_first = datetime.now(UTC).day == 1
    assert spent() == [3 if is_first else 0, 3]
    move(desk, batch.id, "date_trunc('month', now(), 'UTC') - interval '1 microsecond'")
    assert spent() == [0, 0]
    assert requests(desk.claim(company_id)) == 5


def test_a_budget_made_less_than_what_is_spent_lets_nothing_through(
    desk: Desk, unit_cost: float
) -> None:
    company_id, _ = desk.company(3)
    desk.claim(company_id)
    desk.more(company_id, 2)
    allow(desk, company_id, Period.MONTH, unit_cost)
    claim = desk.claim(company_id)
    use = use_of(desk, company_id)
    assert (requests(claim), use.left_eur, round(use.percent)) == (0, 0, 300)
    assert claim.held == {use.held_reason: 2}
    assert StoredBudgets(desk.engine).clear(company_id, Period.MONTH)
    assert requests(desk.claim(company_id)) == 2


def test_what_a_settled_batch_has_cost_counts_in_place_of_its_estimate(
    desk: Desk, unit_cost: float
) -> None:
    batch, ids = desk.ended(2)
    allow(desk, ALL_COMPANIES, Period.MONTH, 1.0)
    cost = Cost(usd=0.4, eur=0.2, synchronous_eur=0.4, rates=Rates(1e-6, 1e-6, 4e-6))
    desk.write(batch.lease, [completed(one, cost=cost) for one in ids])
    desk.finalize(batch.lease)
    assert use_of(desk, ALL_COMPANIES).spent_eur == pytest.approx(0.4)


def test_a_month_holds_when_its_days_are_kept_and_their_batches_are_gone(
    desk: Desk, unit_cost: float
) -> None:
    settled, ids = desk.ended(2)
    unpriced, others = desk.ended(3)
    desk.write(settled.lease, [completed(one) for one in ids])
    desk.write(unpriced.lease, [completed(one, cost=Cost(is_known=False)) for one in others])
    for batch in (settled, unpriced):
        desk.finalize(batch.lease)
        move(desk, batch.id, "now() - interval '1 day'")
    desk.claimed(1)
    for whose in (ALL_COMPANIES, settled.company_id):
        allow(desk, whose, Period.MONTH, 1.0)
    is_first = datetime.now(UTC).day == 1

    def spent() -> list[float]:
        return [use_of(desk, one).spent_eur for one in (ALL_COMPANIES, settled.company_id)]

    before = spent()
    of_yesterday = 0 if is_first else 2 * COST.eur
    assert before[1] == pytest.approx(of_yesterday)
    # What nobody knows counts with its estimate.
    assert before[0] == pytest.approx(of_yesterday + (1 if is_first else 4) * unit_cost)
    DailyCosts(desk.engine).keep(lambda: False)
    assert desk.value("SELECT count(*) FROM batch_assets.batch WHERE is_kept") >= 2
    assert spent() == pytest.approx(before)
    for table in ("attempt", "batch"):
        key = "id" if table == "batch" else "batch_id"
        desk.do(
            f"DELETE FROM batch_assets.{table} WHERE {key} IN (:first, :second)",
            first=settled.id,
            second=unpriced.id,
        )
    assert spent() == pytest.approx(before)


def test_what_is_not_read_of_a_batch_counts_with_its_own_estimate(
    desk: Desk, unit_cost: float
) -> None:
    company_id, short = desk.company(3)
    (long,) = desk.more(company_id, 1, messages=LONG)
    (batch,) = desk.claim(company_id).batches
    desk.upload(batch.lease)
    desk.submit(batch)
    (in_flight,) = desk.queries.batches_in_flight(10)
    desk.end(in_flight)
    lease = desk.take(batch.id).lease
    of_long = batch.cost_eur - 3 * unit_cost
    assert of_long > 5 * unit_cost
    allow(desk, ALL_COMPANIES, Period.MONTH, 1.0)
    desk.write(lease, [completed(one) for one in short])
    assert use_of(desk, ALL_COMPANIES).spent_eur == pytest.approx(3 * COST.eur + of_long)
    (foreseen,) = Standings(desk.engine).read().open
    assert foreseen.estimate_eur == pytest.approx(of_long)
    desk.write(lease, [completed(long, cost=Cost(is_known=False))])
    assert use_of(desk, ALL_COMPANIES).spent_eur == pytest.approx(3 * COST.eur + of_long)
    desk.finalize(lease)
    assert use_of(desk, ALL_COMPANIES).spent_eur == pytest.approx(3 * COST.eur + of_long)


def test_a_day_that_was_kept_while_it_is_today_counts_as_it_did(
    desk: Desk, unit_cost: float
) -> None:
    batch, ids = desk.ended(2)
    desk.write(batch.lease, [completed(one) for one in ids])
    desk.finalize(batch.lease)
    allow(desk, ALL_COMPANIES, Period.DAY, 2 * COST.eur + 1.5 * unit_cost)
    # The clock was a day ahead when the day was kept, and then was put right.
    move(desk, batch.id, "claimed_at - interval '1 day'")
    assert DailyCosts(desk.engine).keep() == 1
    move(desk, batch.id, "claimed_at + interval '1 day'")
    desk.do("UPDATE batch_assets.daily_cost SET day = day + 1")
    assert use_of(desk, ALL_COMPANIES, Period.DAY).spent_eur == pytest.approx(2 * COST.eur)
    allow(desk, ALL_COMPANIES, Period.MONTH, 1.0)
    spent = [use_of(desk, ALL_COMPANIES, period).spent_eur for period in Period]
    assert spent == pytest.approx([2 * COST.eur] * 2)
    company_id, _ = desk.company(4)
    assert requests(desk.claim(company_id)) == 1


def test_what_was_released_is_not_spent(desk: Desk) -> None:
    batch, _ = desk.claimed(3)
    desk.queries.release([batch.lease])
    allow(desk, ALL_COMPANIES, Period.DAY, 1.0)
    assert use_of(desk, ALL_COMPANIES, Period.DAY).spent_eur == 0


def test_what_a_deleted_company_has_spent_counts_and_its_budget_can_be_seen(
    desk: Desk, unit_cost: float
) -> None:
    company_id, _ = desk.company(3)
    desk.claim(company_id)
    allow(desk, company_id, Period.MONTH, 1.0)
    allow(desk, ALL_COMPANIES, Period.MONTH, 5.5 * unit_cost)
    for table in ("AIProcessingRequest", "AIBatchRequest", "Company"):
        desk.do(f'DELETE FROM public."{table}"')
    use = use_of(desk, company_id)
    assert (use.company, use.whose) == (None, f"{company_id} (deleted)")
    assert use.spent_eur == pytest.approx(3 * unit_cost)
    other, _ = desk.company(4)
    assert requests(desk.claim(other)) == 2


def test_companies_of_one_name_are_told_apart(desk: Desk) -> None:
    """Reasons are texts, by which alerts and sums go: two companies' are never the same."""
    ids = [desk.company(2)[0] for _ in range(4)]
    for company_id, name in zip(ids, ("Twin", "Twin", "all companies", "Single"), strict=True):
        desk.do('UPDATE public."Company" SET name = :name WHERE id = :id', name=name, id=company_id)
    for company_id in (*ids, ALL_COMPANIES):
        allow(desk, company_id, Period.DAY, 0)
    uses = {use.company_id: use for use in StoredBudgets(desk.engine).uses()}
    assert [uses[one].whose for one in ids] == [
        f"Twin ({ids[0]})",
        f"Twin ({ids[1]})",
        f"all companies ({ids[2]})",
        "Single",
    ]
    StoredBudgets(desk.engine).clear(ALL_COMPANIES, Period.DAY)
    held = desk.claim(*ids).held
    assert held == {uses[one].held_reason: 2 for one in ids}


@pytest.mark.parametrize("whose", EVERYBODY)
def test_a_model_without_a_price_is_sent_under_no_budget(desk: Desk, whose: str) -> None:
    company_id, _ = desk.company(2)
    other, _ = desk.company(2)
    allow(desk, company_id if whose else whose, Period.MONTH, 1_000.0)
    claim = desk.claim(company_id, other, price=None)
    if whose:
        assert [batch.company_id for batch in claim.batches] == [other]
        assert claim.held == {"model gpt-4o-mini has no price, and its company has a budget": 2}
    else:
        assert claim.batches == ()
        reason = held_by_cooldown("gpt-4o-mini", "it has no price, and costs are capped")
        assert claim.held == {reason: 4}


@pytest.mark.parametrize("whose", EVERYBODY)
def test_claims_at_one_time_stay_within_a_budget_together(
    desk: Desk, unit_cost: float, whose: str
) -> None:
    companies = [desk.company(6)[0] for _ in range(4)]
    allow(desk, companies[2] if whose else whose, Period.MONTH, 4.5 * unit_cost)
    ready = threading.Barrier(4)

    def claim(order: list[str]) -> Claim:
        ready.wait()
        return desk.claim(*order)

    orders = [companies[at:] + companies[:at] for at in range(4)]
    with ThreadPoolExecutor(4) as pool:
        claims = list(pool.map(claim, orders))
    sent = desk.value(
        "SELECT sum(requests) FROM batch_assets.batch"
        " WHERE :whose IN ('', company_id) AND state = 'claimed'",
        whose=companies[2] if whose else whose,
    )
    assert sent == 4
    assert sum(map(requests, claims)) == (4 if not whose else 6 * 3 + 4)


@pytest.mark.parametrize(
    "policy", [FREE, a_policy(max_batch_requests=3)], ids=["large batches", "small batches"]
)
def test_what_is_foreseen_under_budgets_is_what_is_claimed_then(
    desk: Desk, unit_cost: float, policy: Policy
) -> None:
    companies = [desk.company(9, age=timedelta(days=1))[0] for _ in range(3)]
    allow(desk, companies[0], Period.DAY, 4.5 * unit_cost)
    allow(desk, ALL_COMPANIES, Period.MONTH, 15.5 * unit_cost)
    foreseen = desk.queries.preview(companies, terms(policy))
    claim = desk.claim(*companies, policy=policy)
    assert [
        (draft.company_id, len(draft.candidates))
        for packing in foreseen
        for draft in packing.drafts
    ] == [(batch.company_id, batch.requests) for batch in claim.batches]
    assert requests(claim) == 15
    held = foreseen[0].held + foreseen[1].held + foreseen[2].held
    assert held == claim.held


class History:
    """Batches are claimed, given back or settled at another cost than estimated; days go by."""

    def __init__(self, desk: Desk, companies: list[str], seed: int) -> None:
        self.missed: dict[str, float] = defaultdict(float)
        """By whose budget: what batches have cost beyond their estimates, in all."""
        self._desk = desk
        self._companies = companies
        self._chance = random.Random(seed)

    def go_on(self) -> None:
        """Let requests come in, some be claimed and some be settled; now and then a day goes by."""
        chance, desk = self._chance, self._desk
        for company in self._companies:
            if more := chance.randrange(4):
                desk.more(company, more)
        for batch in desk.claim(*chance.sample(self._companies, 3)).batches:
            if chance.random() < 0.2:
                desk.queries.release([batch.lease])
            else:
                desk.upload(batch.lease)
                desk.submit(batch)
        for in_flight in desk.queries.batches_in_flight(100):
            if chance.random() < 0.5:
                self._settle(in_flight)
        if chance.random() < 0.2:
            desk.do(
                "UPDATE batch_assets.batch SET claimed_at = greatest("
                "date_trunc('month', now(), 'UTC'), claimed_at - interval '1 day')"
            )

    def _settle(self, in_flight: InFlightBatch) -> None:
        desk, row = self._desk, self._desk.batch(in_flight.id)
        desk.end(in_flight)
        lease = desk.take(in_flight.id).lease
        eur = row.estimated_cost_eur / row.requests * self._chance.uniform(0.7, 1.2)
        cost = Cost(usd=2 * eur, eur=eur, synchronous_eur=2 * eur, rates=Rates(1e-6, 1e-6, 4e-6))
        of_batch = "SELECT request_id FROM batch_assets.attempt WHERE batch_id = :id"
        desk.write(lease, [completed(one, cost=cost) for one in desk.column(of_batch, id=row.id)])
        desk.finalize(lease)
        beyond = max(eur * row.requests - row.estimated_cost_eur, 0.0)
        self.missed[row.company_id] += beyond
        self.missed[ALL_COMPANIES] += beyond


def test_over_a_random_history_no_budget_is_overspent(desk: Desk, unit_cost: float) -> None:
    """A period costs no more than its budget and what estimates of what was open have missed."""
    companies = [desk.company(0)[0] for _ in range(3)]
    budgets = {ALL_COMPANIES: 30, companies[0]: 7, companies[1]: 12, companies[2]: 20}
    for company, most in budgets.items():
        allow(desk, company, Period.MONTH, most * unit_cost)
        allow(desk, company, Period.DAY, most * unit_cost / 2)
    history = History(desk, companies, seed=20261130)
    for _ in range(25):
        history.go_on()
        for use in StoredBudgets(desk.engine).uses():
            assert use.spent_eur <= use.amount_eur + history.missed[use.company_id] + 1e-12
    # On the first of a month none of its days has gone by: the budgets of a day are what holds.
    reached = Period.DAY if datetime.now(UTC).day == 1 else Period.MONTH
    uses = [use for use in StoredBudgets(desk.engine).uses() if use.period is reached]
    assert max(use.percent for use in uses) > 90, "some of them were reached"


def test_where_no_budget_is_set_the_claim_sums_up_nothing(desk: Desk) -> None:
    desk.claimed(3)
    with desk.engine.begin() as connection:
        quotas = begin_claim(connection, terms(), Spent())
        assert quotas.of("company", ()).budgets == []
