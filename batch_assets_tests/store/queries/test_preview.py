"""The preview: what a claim would do, with nothing changed by it."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from batch_assets.domain.packing import Packing
from batch_assets.domain.policy import Caps, Policy
from batch_assets_tests.factories import make_company, make_requests
from batch_assets_tests.policies import a_policy
from batch_assets_tests.store.queries.support import Desk, terms

DAY = timedelta(days=1)


def shape(packings: list[Packing]) -> list[tuple[str, str, int]]:
    return [
        (draft.company_id, draft.model, len(draft.candidates))
        for packing in packings
        for draft in packing.drafts
    ]


def preview(desk: Desk, *company_ids: str, policy: Policy | None = None) -> list[Packing]:
    return desk.queries.preview(company_ids, terms(policy or a_policy()))


def test_a_preview_changes_nothing_not_even_the_intake(desk: Desk) -> None:
    with desk.engine.begin() as connection:
        company_id = make_company(connection)
        make_requests(connection, company_id, 12)
        make_requests(connection, company_id, 1, messages=0)
    before = desk.everything()
    packings = preview(desk, company_id)
    assert shape(packings) == [(company_id, "gpt-4o-mini", 12)]
    assert [rejection.code for rejection in packings[0].rejections] == ["no_messages"]
    assert desk.everything() == before
    assert before["intake"] == []


def test_only_companies_that_are_due_are_foreseen(desk: Desk) -> None:
    few, _ = desk.company(9)
    enough, _ = desk.company(10)
    old, _ = desk.company(1, age=timedelta(minutes=31))
    assert shape(preview(desk, few, enough, old)) == [
        (old, "gpt-4o-mini", 1),
        (enough, "gpt-4o-mini", 10),
    ]


def test_a_suspended_company_is_not_foreseen(desk: Desk) -> None:
    company_id, _ = desk.company(10)
    desk.do("UPDATE public.\"Company\" SET status = 'SUSPENDED'")
    assert shape(preview(desk, company_id)) == []


def test_more_than_one_batch_of_a_company_is_foreseen(desk: Desk) -> None:
    company_id, _ = desk.company(7, age=DAY)
    found = preview(desk, company_id, policy=a_policy(max_batch_requests=3))
    assert shape(found) == [(company_id, "gpt-4o-mini", count) for count in (3, 3, 1)]


@pytest.mark.parametrize(
    "policy",
    [
        a_policy(),
        a_policy(max_batch_requests=3),
        a_policy(max_batch_requests=3, caps=Caps(company_day_requests=4)),
        a_policy(max_batch_requests=3, caps=Caps(run_requests=9)),
        a_policy(max_batch_requests=3, caps=Caps(day_requests=9)),
        a_policy(caps=Caps(run_cost_eur=0.002)),
        a_policy(caps=Caps(day_cost_eur=0.002)),
        a_policy(caps=Caps(company_day_cost_eur=0.001)),
        a_policy(max_batch_requests=2, token_allowances={"gpt-4o-mini": 2_500}),
    ],
    ids=lambda policy: f"{policy.max_batch_requests} {policy.caps} {policy.token_allowances}",
)
def test_what_is_foreseen_is_what_is_claimed_then(desk: Desk, policy: Policy) -> None:
    first, _ = desk.company(6, age=DAY)
    desk.more(first, 4, model="gpt-4.1", age=DAY)
    second, _ = desk.company(5, age=DAY)
    desk.more(second, 1, messages=0, age=DAY)
    foreseen = preview(desk, first, second, policy=policy)
    claim = desk.claim(first, second, policy=policy)
    claimed = [(batch.company_id, batch.model, batch.requests) for batch in claim.batches]
    assert shape(foreseen) == claimed
    assert sum((packing.held for packing in foreseen), start=type(foreseen[0].held)()) == claim.held
    assert sum(len(packing.rejections) for packing in foreseen) == sum(claim.rejected.values())
    estimated = sum(draft.cost_eur for packing in foreseen for draft in packing.drafts)
    assert estimated == pytest.approx(sum(batch.cost_eur for batch in claim.batches))


def test_a_preview_does_not_wait_for_a_claim_that_is_under_way(desk: Desk) -> None:
    company_id, _ = desk.company(10)
    with desk.engine.begin() as claiming:
        claiming.execute(
            text("SELECT pg_advisory_xact_lock(hashtextextended('batch_assets.claim', 0))")
        )
        assert shape(preview(desk, company_id)) == [(company_id, "gpt-4o-mini", 10)]
