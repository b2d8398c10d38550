"""Caps on requests and cost, checked in the claim's own transaction."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from batch_assets.domain.batches import Claim
from batch_assets.domain.policy import Caps, Policy
from batch_assets.store.protocol import Spent
from batch_assets_tests.policies import a_policy
from batch_assets_tests.store.queries.support import COST, Desk, completed


def requests(claim: Claim) -> int:
    return sum(batch.requests for batch in claim.batches)


def capped(**caps: float) -> Policy:
    return a_policy(caps=Caps(**caps))  # type: ignore[arg-type] # counts and costs in one test


@pytest.fixture
def unit_cost(desk: Desk) -> float:
    """What one request is estimated to cost."""
    company_id, _ = desk.company(1)
    (batch,) = desk.claim(company_id).batches
    desk.queries.release([batch.lease])
    desk.do('DELETE FROM public."AIProcessingRequest"')
    return batch.cost_eur


def test_a_run_counts_what_it_has_spent_already(desk: Desk) -> None:
    company_id, _ = desk.company(5)
    claim = desk.claim(company_id, policy=capped(run_requests=7), spent=Spent(requests=4))
    assert requests(claim) == 3
    assert claim.held == {"cap on requests": 2}


def test_a_run_is_one_over_all_companies_of_a_claim(desk: Desk) -> None:
    companies = [desk.company(4)[0] for _ in range(3)]
    assert requests(desk.claim(*companies, policy=capped(run_requests=6))) == 6


def test_a_day_counts_what_was_claimed_in_it_and_not_what_was_released(desk: Desk) -> None:
    released, _ = desk.claimed(4)
    desk.queries.release([released.lease])
    desk.claimed(3)
    company_id, _ = desk.company(9)
    assert requests(desk.claim(company_id, policy=capped(day_requests=5))) == 2


def test_yesterday_does_not_count(desk: Desk) -> None:
    batch, _ = desk.claimed(3)
    desk.do(
        "UPDATE batch_assets.batch SET claimed_at = date_trunc('day', now(), 'UTC')"
        " - interval '1 second' WHERE id = :id",
        id=batch.id,
    )
    company_id, _ = desk.company(9)
    assert requests(desk.claim(company_id, policy=capped(day_requests=5))) == 5


def taken_under(desk: Desk, cap_eur: float, cap: str = "day_cost_eur") -> int:
    """How many of many small requests a claim still takes; they are given back."""
    company_id, _ = desk.company(9)
    claim = desk.claim(company_id, policy=capped(**{cap: cap_eur}))
    desk.queries.release([batch.lease for batch in claim.batches])
    return requests(claim)


def test_what_was_read_counts_with_what_it_has_cost(desk: Desk, unit_cost: float) -> None:
    batch, ids = desk.ended(3)
    desk.write(batch.lease, [completed(ids[0])])
    open_ones = 2 * unit_cost
    assert taken_under(desk, COST.eur + open_ones + 2.5 * unit_cost) == 2
    desk.write(batch.lease, [completed(ids[1]), completed(ids[2])])
    desk.finalize(batch.lease)
    assert taken_under(desk, 3 * COST.eur + 2.5 * unit_cost) == 2


def test_what_was_billed_and_not_read_counts(desk: Desk, unit_cost: float) -> None:
    batch, ids = desk.ended(3)
    desk.write(batch.lease, [completed(one) for one in ids])
    desk.finalize(batch.lease)
    desk.do("UPDATE batch_assets.batch SET unattributed_eur = 7")
    assert taken_under(desk, 3 * COST.eur + 7 + 3.5 * unit_cost) == 3


def test_an_answer_without_a_cost_counts_as_estimated(desk: Desk, unit_cost: float) -> None:
    batch, ids = desk.ended(3)
    unknown = replace(COST, usd=0.0, eur=0.0, is_known=False)
    desk.write(batch.lease, [completed(ids[0]), completed(ids[1], cost=unknown)])
    assert taken_under(desk, COST.eur + 2 * unit_cost + 1.5 * unit_cost) == 1
    desk.write(batch.lease, [completed(ids[2])])
    desk.finalize(batch.lease)
    assert taken_under(desk, 2 * COST.eur + unit_cost + 1.5 * unit_cost) == 1


def test_what_the_server_never_ran_counts_nothing_once_that_is_known(
    desk: Desk, unit_cost: float
) -> None:
    batch, ids = desk.ended(3)
    desk.write(batch.lease, [completed(ids[0])])
    desk.finalize(batch.lease)
    assert taken_under(desk, COST.eur + 2.5 * unit_cost) == 2


def test_what_was_given_up_counts_as_estimated_until_it_is_read(
    desk: Desk, unit_cost: float
) -> None:
    batch, _ = desk.ended(3)
    desk.finalize(batch.lease)
    desk.do("UPDATE batch_assets.batch SET server_status = 'abandoned'")
    desk.do(
        "INSERT INTO batch_assets.abandoned_batch (batch_id, poll_at) VALUES (:id, now())",
        id=batch.id,
    )
    assert taken_under(desk, (3 + 2.5) * unit_cost) == 2
    desk.do("UPDATE batch_assets.abandoned_batch SET wasted_cost_eur = 5, answers = 1")
    assert taken_under(desk, 5 + 2.5 * unit_cost) == 2
    desk.do("UPDATE batch_assets.abandoned_batch SET read_at = now(), poll_at = NULL")
    assert taken_under(desk, 5 + 1.5 * unit_cost) == 1


@pytest.mark.parametrize("is_released", [True, False], ids=["released", "sent"])
def test_a_second_batch_counts_on_the_day_of_its_intent(
    desk: Desk, unit_cost: float, *, is_released: bool
) -> None:
    batch, _ = desk.claimed(3)
    if is_released:
        desk.queries.release([batch.lease])
    first = 0 if is_released else 3
    desk.do(
        "INSERT INTO batch_assets.duplicate_batch (openai_batch_id, batch_id, estimated_cost_eur)"
        " VALUES ('batch_second', :id, :eur)",
        id=batch.id,
        eur=3 * unit_cost,
    )
    assert taken_under(desk, (first + 3 + 2.5) * unit_cost) == 2
    company_id, _ = desk.company(9)
    assert requests(desk.claim(company_id, policy=capped(day_requests=first + 3 + 1))) == 1
    desk.do("UPDATE batch_assets.duplicate_batch SET cost_usd = 9, cost_eur = 8")
    assert taken_under(desk, 8 + (first + 1 + 2.5) * unit_cost) == 2
    desk.do("UPDATE batch_assets.batch SET claimed_at = claimed_at - interval '1 day'")
    assert taken_under(desk, 2.5 * unit_cost) == 2


def test_each_company_has_a_cap_of_its_own(desk: Desk) -> None:
    companies = [desk.company(4)[0] for _ in range(2)]
    policy = capped(company_day_requests=3)
    assert [batch.requests for batch in desk.claim(*companies, policy=policy).batches] == [3, 3]
    assert requests(desk.claim(*companies, policy=policy)) == 0


@pytest.mark.parametrize("cap", ["run_cost_eur", "day_cost_eur", "company_day_cost_eur"])
def test_costs_are_capped_the_same_way(desk: Desk, unit_cost: float, cap: str) -> None:
    company_id, _ = desk.company(5)
    policy = capped(**{cap: 3.5 * unit_cost})
    first = desk.claim(company_id, policy=policy)
    assert requests(first) == 3
    assert first.held == {"cap on estimated cost": 2}
    spent = Spent(requests(first), sum(batch.cost_eur for batch in first.batches))
    assert requests(desk.claim(company_id, policy=policy, spent=spent)) == 0


def test_a_model_without_a_price_is_held_while_costs_are_capped(desk: Desk) -> None:
    company_id, _ = desk.company(2)
    claim = desk.claim(company_id, policy=capped(day_cost_eur=1_000.0), price=None)
    assert claim.batches == ()
    assert claim.held == {
        "model gpt-4o-mini is in cooldown: it has no price, and costs are capped": 2
    }


@pytest.mark.parametrize("cap", ["run_requests", "day_requests", "run_cost_eur", "day_cost_eur"])
def test_a_cap_that_is_for_all_ends_the_claim_where_it_is_reached(
    desk: Desk, unit_cost: float, cap: str
) -> None:
    companies = [desk.company(4)[0] for _ in range(3)]
    most = 5.5 * unit_cost if cap.endswith("eur") else 5
    claim = desk.claim(*companies, policy=capped(**{cap: most}))
    assert [(batch.company_id, batch.requests) for batch in claim.batches] == [
        (companies[0], 4),
        (companies[1], 1),
    ]
    # What waits for the third company was not looked at.
    assert sum(claim.held.values()) == 3
    assert claim.remaining == ()


@pytest.mark.parametrize("cap", ["company_day_requests", "company_day_cost_eur"])
def test_a_companys_cap_ends_nothing_for_others(desk: Desk, unit_cost: float, cap: str) -> None:
    companies = [desk.company(4)[0] for _ in range(3)]
    most = 2.5 * unit_cost if cap.endswith("eur") else 2
    claim = desk.claim(*companies, policy=capped(**{cap: most, "day_requests": 1_000}))
    assert [batch.company_id for batch in claim.batches] == companies
    assert sum(claim.held.values()) == 6


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (a_policy(caps=Caps(day_requests=7)), 7),
        (a_policy(default_token_allowance=7 * 520), 7),
        (a_policy(), 40),
    ],
    ids=["cap", "token allowance", "no cap"],
)
def test_claims_at_one_time_stay_under_a_limit_together(
    desk: Desk, policy: Policy, expected: int
) -> None:
    companies = [desk.company(4)[0] for _ in range(10)]
    ready = threading.Barrier(4)

    def claim(order: list[str]) -> Claim:
        ready.wait()
        return desk.claim(*order, policy=policy)

    orders = [companies, companies[::-1], companies[5:] + companies[:5], companies]
    with ThreadPoolExecutor(4) as pool:
        claims = list(pool.map(claim, orders))
    assert sum(map(requests, claims)) == expected
    claimed = 'SELECT count(*) FROM public."AIProcessingRequest" WHERE "batchId" IS NOT NULL'
    assert desk.value(claimed) == expected
    assert desk.value("SELECT sum(requests) FROM batch_assets.batch") == expected
