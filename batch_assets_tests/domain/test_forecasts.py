"""What is coming, of a standing: nothing is counted twice, and each likeness is widened in turn."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from batch_assets.domain.budgets import ALL_COMPANIES, BudgetUse, Period
from batch_assets.domain.due_rule import DueRule
from batch_assets.domain.forecasts import (
    LEAST_SETTLED,
    DayMoney,
    OpenBatch,
    RequestCosts,
    SendingRule,
    SettledRequests,
    Standing,
    WaitingRequests,
    foresee,
)
from batch_assets.domain.policy import Caps
from batch_assets.domain.turnarounds import Basis, PastBatch

MONDAY = date(2026, 6, 15)
RULE = SendingRule(DueRule(10, 1_800), max_batch_requests=1_000, window_seconds=86_400)
HISTORY = [PastBatch("m", 100, 200_000, 600, has_ended=True)] * 50
SETTLED = [SettledRequests("a", "m", 1_000, 2.0), SettledRequests("b", "m", 1_000, 4.0)]


def in_flight(**given: object) -> OpenBatch:
    usual = OpenBatch("a", "m", 100, 100, True, 200, 0, 0.0, 9.9)
    return replace(usual, **given)  # type: ignore[arg-type]


def standing(**given: object) -> Standing:
    usual = Standing(MONDAY, MONDAY - timedelta(days=60), HISTORY, SETTLED)
    return replace(usual, **given)  # type: ignore[arg-type]


def days(company_id: str, cost_of: Sequence[tuple[date, float, float]]) -> list[DayMoney]:
    return [DayMoney(company_id, *one) for one in cost_of]


def test_nothing_is_foreseen_of_nothing() -> None:
    seen = foresee(Standing(MONDAY, None), RULE)
    assert seen.companies == []
    assert seen.usual_days == 0
    assert seen.in_all.day.total_eur == seen.in_all.month.total_eur == 0
    assert (seen.in_all.in_flight.requests, seen.in_all.in_flight.p90_seconds) == (0, None)


def test_what_a_request_costs_is_told_by_its_company_then_its_model_then_the_estimate() -> None:
    costs = RequestCosts([*SETTLED, SettledRequests("c", "n", LEAST_SETTLED - 1, 1.0)])
    assert costs.expect("a", "m", 10, 99.0) == pytest.approx(0.02)
    assert costs.expect("b", "m", 10, 99.0) == pytest.approx(0.04)
    assert costs.expect("z", "m", 10, 99.0) == pytest.approx(0.03)
    assert costs.expect("c", "n", 10, 99.0) == 99.0
    assert costs.expect("c", "n", 10) is None


def test_what_is_in_flight_has_the_time_and_the_money_that_are_left() -> None:
    partly_read = in_flight(requests=40, is_running=False, cost_eur=0.12)
    (company,) = foresee(standing(open=[in_flight(), partly_read]), RULE).companies
    assert company.in_flight.requests == 140
    assert company.in_flight.cost_eur == pytest.approx(100 * 0.002 + 0.12 + 40 * 0.002)
    assert company.in_flight.p90_seconds == 400, "600 less the 200 that it runs already"
    assert (company.in_flight.basis, company.in_flight.basis_batches) == (Basis.SIZE, 50)
    assert company.day.in_flight_eur == company.in_flight.cost_eur


def test_what_waits_is_done_after_it_is_due() -> None:
    few = WaitingRequests("a", "m", 3, 600)
    many = WaitingRequests("b", "m", 100, 600)
    found = {one.company_id: one for one in foresee(standing(waiting=[few, many]), RULE).companies}
    assert found["a"].waiting.p50_seconds == 1_200 + 600
    assert found["b"].waiting.p50_seconds == 600
    assert found["a"].waiting.cost_eur == pytest.approx(3 * 0.002)
    assert found["b"].day.waiting_eur == pytest.approx(100 * 0.004)


def test_what_nobody_can_price_is_counted_and_in_no_sum() -> None:
    waiting = [WaitingRequests("a", "m", 100, 0), WaitingRequests("a", "new", 7, 0)]
    seen = foresee(standing(waiting=waiting), RULE).in_all
    assert (seen.waiting.unpriced, seen.waiting.requests) == (7, 107)
    assert seen.waiting.cost_eur == pytest.approx(0.2)


def test_a_batch_belongs_to_the_day_and_the_month_of_its_claim() -> None:
    ages = [0, 1, MONDAY.day - 1, MONDAY.day]
    seen = foresee(standing(open=[in_flight(days_old=age) for age in ages]), RULE).in_all
    assert seen.in_flight.cost_eur == pytest.approx(4 * 0.2)
    assert seen.day.in_flight_eur == pytest.approx(0.2)
    assert seen.month.in_flight_eur == pytest.approx(3 * 0.2), "one was claimed last month"


def test_what_usually_still_comes_is_told_by_the_days_of_the_same_name() -> None:
    """Mondays cost 10 and other days 1; three tenths of each come after this time of day."""
    before = [MONDAY - timedelta(days=age) for age in range(1, 29)]
    costs = {day: 10.0 if day.weekday() == 0 else 1.0 for day in before}
    spent = days("a", [(day, cost, 0.3 * cost) for day, cost in costs.items()])
    today = days("a", [(MONDAY, 6.0, 0.0)])
    (company,) = foresee(standing(days=[*spent, *today]), RULE).companies
    assert company.day.spent_eur == 6
    assert company.day.to_come_eur == pytest.approx(3.0)
    left = [MONDAY + timedelta(days=number) for number in range(1, 16)]
    mondays = sum(day.weekday() == 0 for day in left)
    assert company.month.to_come_eur == pytest.approx(3.0 + 10 * mondays + (15 - mondays))
    first = MONDAY.replace(day=1)
    so_far = sum(cost for day, cost in costs.items() if day >= first)
    assert company.month.spent_eur == pytest.approx(so_far + 6)
    assert company.month.total_eur == pytest.approx(
        company.month.spent_eur + company.month.to_come_eur
    )


def test_what_waits_already_does_not_come_once_more() -> None:
    spent = days("a", [(MONDAY - timedelta(days=7 * week), 1.0, 0.5) for week in (1, 2, 3, 4)])
    waiting = [WaitingRequests("a", "m", 100, 0)]
    day = foresee(standing(days=spent, waiting=waiting), RULE).in_all.day
    assert [day.waiting_eur, day.to_come_eur] == pytest.approx([0.2, 0.3])
    waiting = [WaitingRequests("a", "m", 1_000, 0)]
    day = foresee(standing(days=spent, waiting=waiting), RULE).in_all.day
    assert [day.waiting_eur, day.to_come_eur] == pytest.approx([2.0, 0.0])


@pytest.mark.parametrize(
    ("age", "usual_days", "to_come"), [(0, 0, 0), (1, 0, 0), (3, 2, 0.5), (9, 8, 1)]
)
def test_a_young_installation_tells_by_the_whole_days_that_it_has_seen(
    age: int, usual_days: int, to_come: float
) -> None:
    """Of its first day nobody knows what came before it; a day without work is a day."""
    spent = days("a", [(MONDAY - timedelta(days=number), 1.0, 1.0) for number in range(1, 10, 1)])
    spent = [one for one in spent if age == 9 or one.day == MONDAY - timedelta(days=1)]
    seen = foresee(standing(days=spent, first_day=MONDAY - timedelta(days=age)), RULE)
    assert seen.usual_days == usual_days
    assert seen.in_all.day.to_come_eur == pytest.approx(to_come)


def test_the_sums_of_all_are_those_of_the_companies() -> None:
    seen = foresee(
        standing(
            open=[in_flight(), in_flight(company_id="b")],
            waiting=[WaitingRequests("b", "m", 100, 0)],
            days=days("a", [(MONDAY, 1.0, 0.0)]) + days("c", [(MONDAY, 3.0, 0.0)]),
            companies={"a": "Aardvark"},
        ),
        RULE,
    )
    for of in ("day", "month"):
        sums = [getattr(one, of).total_eur for one in seen.companies]
        assert getattr(seen.in_all, of).total_eur == pytest.approx(sum(sums))
        assert sums == sorted(sums, reverse=True)
    assert seen.in_all.in_flight.requests == 200
    assert {one.company for one in seen.companies} == {"Aardvark", "b", "c"}


def budget(company_id: str, period: Period, amount_eur: float, spent_eur: float = 0) -> BudgetUse:
    """A budget as it stands on that Monday."""
    set_at = datetime(2026, 6, 1, tzinfo=UTC)
    name = company_id or None
    return BudgetUse(company_id, name, period, amount_eur, spent_eur, MONDAY, "us", set_at)


TOMORROW = MONDAY + timedelta(days=1)
A_HUNDRED = [WaitingRequests("a", "m", 100, 0)]
"""Of 0.002 EUR each."""


def test_what_a_budget_holds_has_no_date_and_no_part_in_what_the_day_costs() -> None:
    held = standing(waiting=A_HUNDRED, budgets=[budget("a", Period.DAY, 0.101, 0.041)])
    seen = foresee(held, RULE).in_all
    assert (seen.waiting.requests, seen.waiting.held) == (100, 70)
    assert seen.waiting.held_until == TOMORROW
    assert "budget of a for 2026-06-15 has too little left" in str(seen.waiting.held_because)
    assert seen.waiting.p90_seconds == 600, "of the others"
    assert seen.waiting.cost_eur == pytest.approx(0.2), "of all"
    assert seen.day.waiting_eur == pytest.approx(0.06)
    assert seen.month.waiting_eur == pytest.approx(0.2), "fifteen days are to come"


@pytest.mark.parametrize("whose", ["a", ALL_COMPANIES])
def test_a_budget_bounds_what_is_to_come_of_its_period(whose: str) -> None:
    past = [(MONDAY - timedelta(days=age), 1.0, 1.0) for age in range(1, 29)]
    world = {"days": days("a", past) + days("b", past)}
    free = foresee(standing(**world), RULE).in_all
    assert (free.day.to_come_eur, free.month.to_come_eur) == (2, 32)
    bound = standing(**world, budgets=[budget(whose, Period.MONTH, 40, 37.5)])
    seen = foresee(bound, RULE)
    others = 0 if whose == ALL_COMPANIES else 1 + 15
    assert seen.in_all.month.to_come_eur == pytest.approx(2.5 + others)
    assert seen.in_all.day.to_come_eur == pytest.approx(2.0), "it is not the day's"
    spent = standing(**world, budgets=[budget(whose, Period.DAY, 0.5, 0.5)])
    assert foresee(spent, RULE).in_all.day.to_come_eur == (0 if whose == ALL_COMPANIES else 1)


def test_caps_hold_until_tomorrow_and_are_counted_from_what_the_day_has_used() -> None:
    waiting = [WaitingRequests("a", "m", 100, 9), WaitingRequests("b", "m", 100, 5)]
    world = standing(waiting=waiting, used_today={"c": (20.0, 1.0)})
    few = foresee(world, replace(RULE, caps=Caps(day_requests=150)))
    by_company = {one.company_id: one.waiting for one in few.companies}
    assert (by_company["a"].held, by_company["b"].held) == (0, 70), "what waits longest goes first"
    assert by_company["b"].held_until == TOMORROW
    dear = foresee(world, replace(RULE, caps=Caps(day_cost_eur=1.101))).in_all
    assert dear.waiting.held == 50 + 100, "another one of 0.002 EUR still fits, none of 0.004"
    own = foresee(world, replace(RULE, caps=Caps(company_day_requests=30))).in_all
    assert own.waiting.held == 70 + 70


def test_what_never_fits_or_cannot_be_bounded_is_held_for_good() -> None:
    rule = replace(RULE, caps=Caps(run_cost_eur=0.001))
    dear = foresee(standing(waiting=A_HUNDRED), rule).in_all.waiting
    assert (dear.held, dear.held_until) == (100, None)
    assert "more than a whole cap" in str(dear.held_because)
    nothing = standing(waiting=A_HUNDRED, budgets=[budget("a", Period.MONTH, 0)])
    held = foresee(nothing, RULE).in_all
    assert (held.waiting.held, held.waiting.held_until, held.waiting.p50_seconds) == (
        100,
        None,
        None,
    )
    assert held.month.waiting_eur == 0
    unpriced = standing(
        waiting=[WaitingRequests("a", "new", 7, 0)], budgets=[budget("a", Period.MONTH, 9)]
    )
    assert "without a price" in str(foresee(unpriced, RULE).in_all.waiting.held_because)


def test_while_a_person_holds_everything_nothing_has_a_date() -> None:
    past = days("a", [(MONDAY - timedelta(days=age), 1.0, 1.0) for age in range(1, 29)])
    world = standing(waiting=A_HUNDRED, days=past, open=[in_flight()])
    seen = foresee(world, replace(RULE, held_because="It is drained.")).in_all
    assert (seen.waiting.held, seen.waiting.held_because) == (100, "It is drained.")
    assert (seen.day.waiting_eur, seen.day.to_come_eur, seen.month.to_come_eur) == (0, 0, 0)
    assert seen.in_flight.p90_seconds is not None, "that goes on"


def test_where_too_few_were_read_what_waits_costs_what_a_claim_would_say() -> None:
    waiting = [WaitingRequests("a", "new", 7, 0, 0.7), WaitingRequests("a", "m", 100, 0, 9.9)]
    seen = foresee(standing(waiting=waiting), RULE).in_all.waiting
    assert seen.unpriced == 0
    assert seen.cost_eur == pytest.approx(0.7 + 0.2)
