"""What is coming, of a standing: nothing is counted twice, and each likeness is widened in turn."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta

import pytest

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
