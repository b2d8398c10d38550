"""Budgets over what is really sent and billed, in batches and synchronously."""

from collections.abc import Sequence
from typing import Any

import pytest

from batch_assets.domain.budgets import ALL_COMPANIES, Budget, BudgetUse, Period
from batch_assets.domain.lookups import Criteria
from batch_assets.domain.money import read_price
from batch_assets.stages.plan import find_due, preview
from batch_assets.stages.synchronous_requests import offer_of
from batch_assets.store.budgets import StoredBudgets
from batch_assets.store.synchronous_requests import SynchronousRequests
from batch_assets_tests.stages.support import Lab
from batch_assets_tests.stages.synchronous_support import ON, ask, calls, only, waiting

MODEL = "gpt-4o-mini"


def allow(lab: Lab, eur: float, company_id: str = ALL_COMPANIES) -> None:
    budget = Budget(company_id, Period.MONTH, eur)
    StoredBudgets(lab.desk.engine).set([budget], "the tests")


def use(lab: Lab) -> BudgetUse:
    (only,) = StoredBudgets(lab.desk.engine).uses()
    return only


def billed_eur(lab: Lab) -> float:
    """What the server has billed, at 2 and 8 USD for a million tokens, in a batch half of it."""
    usd = 0.0
    for entry in lab.server.ledger().entries():
        full = (entry.prompt_tokens * 2 + entry.completion_tokens * 8) / 1e6
        usd += full if entry.kind == "live" else full / 2
    return usd / 2


def quoted_eur(lab: Lab, request_ids: Sequence[str]) -> float:
    """What these are estimated at if they are sent synchronously."""
    chosen = SynchronousRequests(lab.desk.engine).choose(Criteria(request_ids=request_ids), 100)
    return offer_of(lab.pipeline, lab.pipeline.read_snapshot(), chosen).cost_eur


@pytest.fixture
def priced(lab: Lab) -> Lab:
    return lab.under(model_prices={MODEL: read_price("2/8")}, usd_to_eur=0.5, synchronous=ON)


@pytest.mark.parametrize("effect", [None, {"kind": "content", "content": "Fine."}])
def test_what_is_spent_is_what_the_server_has_billed(
    priced: Lab, effect: dict[str, Any] | None
) -> None:
    allow(priced, 1.0)
    priced.configure(rows=[{"effect": effect}] if effect else [])
    priced.company(4)
    priced.submit()
    estimated = use(priced).spent_eur
    assert estimated == pytest.approx(
        priced.desk.value("SELECT sum(estimated_cost_eur) FROM batch_assets.batch")
    )
    priced.read_to_the_end()
    assert use(priced).spent_eur == pytest.approx(billed_eur(priced), rel=1e-9)
    assert use(priced).spent_eur != pytest.approx(estimated, rel=1e-9)


def test_synchronous_requests_count_and_are_held_too(priced: Lab) -> None:
    ids = waiting(priced, 3)
    ask(priced, ids)
    allow(priced, 0.0)
    held = priced.retry_failed().synchronous
    assert (held.synchronous_calls, held.synchronous_held) == (0, {use(priced).held_reason: 3})
    assert sum(calls(priced, one) for one in ids) == 0
    allow(priced, 1.0)
    assert priced.retry_failed().synchronous.synchronous_calls == 3
    assert use(priced).spent_eur == pytest.approx(billed_eur(priced), rel=1e-9)


def test_synchronous_requests_that_are_held_keep_nobody_elses_waiting(priced: Lab) -> None:
    lab = priced.under(synchronous=only(requests_per_claim=2))
    held, unpriced = waiting(lab, 3), waiting(lab, 3, model="nobody-knows-it")
    others = waiting(lab, 3)
    for ids in (held, unpriced, others):
        ask(lab, ids)
    whose = 'SELECT "companyId" FROM public."Session" WHERE id = :id'
    allow(lab, 0.0, lab.desk.value(whose, id=lab.desk.request(held[0]).sessionId))
    report = lab.retry_failed().synchronous
    assert report.synchronous_calls == 3
    assert [calls(lab, one) for one in others] == [1, 1, 1]
    assert len(report.synchronous_held) == 2


def test_dear_synchronous_requests_keep_no_cheap_ones_of_their_company_waiting(
    priced: Lab,
) -> None:
    lab = priced.under(synchronous=only(requests_per_claim=2), rows_per_look=4)
    company_id, dear = lab.company(3, messages=[("user", "word " * 4_000)])
    cheap = lab.more(company_id, 3)
    find_due(lab.pipeline, lab.pipeline.read_snapshot(), [company_id])
    cost = quoted_eur(lab, cheap)
    assert quoted_eur(lab, dear[:1]) > 2 * cost
    ask(lab, dear)
    ask(lab, cheap)
    allow(lab, 1.5 * cost, company_id)
    report = lab.retry_failed().synchronous
    assert [calls(lab, one) for one in [*dear, *cheap]] == [0, 0, 0, 1, 1, 1]
    assert report.synchronous_held == {use(lab).too_small_reason: 3}


def test_plan_and_run_hold_the_same_and_say_the_same(priced: Lab) -> None:
    company_id, _ = priced.company(8)
    priced.submit()
    one = use_of_one(priced, company_id)
    priced.more(company_id, 8)
    allow(priced, use(priced).spent_eur + 3.5 * one, company_id)
    planned = preview(priced.pipeline, priced.pipeline.read_snapshot(), [company_id])
    report = priced.submit()
    assert sum(batch.requests for batch in planned.batches) == report.requests == 3
    assert planned.held == report.held == {use(priced).held_reason: 5}


def use_of_one(lab: Lab, company_id: str) -> float:
    """What one request of a company is estimated to cost: all of them are alike."""
    allow(lab, 1_000.0, company_id)
    sent = lab.desk.value("SELECT sum(requests) FROM batch_assets.batch")
    return use(lab).spent_eur / float(sent)
