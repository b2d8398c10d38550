"""When a budget begins anew, what is left of it, and when its alert is raised and ends."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from batch_assets.domain.alerts.advice import BUDGETS
from batch_assets.domain.alerts.budgets import alert_of, faults_of, judge_budgets
from batch_assets.domain.alerts.records import AlertState, Recent, Severity, Verdict
from batch_assets.domain.alerts.rules import blame, changes, judge
from batch_assets.domain.budgets import (
    ALL_COMPANIES,
    Budgets,
    BudgetUse,
    Period,
    held_by_budgets,
    read_budgets,
)
from batch_assets_tests.policies import some_limits

NOW = datetime(2026, 3, 14, 12, tzinfo=UTC)
USE = BudgetUse(
    company_id="c1",
    company="Zorg",
    period=Period.MONTH,
    amount_eur=10.0,
    spent_eur=2.0,
    today=NOW.date(),
    set_by="the tests",
    set_at=NOW - timedelta(days=40),
)


def recent(*uses: BudgetUse, held: tuple[str, ...] = (), **states: AlertState) -> Recent:
    return Recent(NOW, "i", "d", budgets=uses, held=held, states=states)


def after(severity: Severity = Severity.WARN, *, days: float = 1.0) -> dict[str, AlertState]:
    """The alert of `USE` was raised so many days ago."""
    since = NOW - timedelta(days=days)
    return {alert_of(USE): AlertState(alert_of(USE), True, severity, "It was.", since)}


def judged(use: BudgetUse, **given: Any) -> Verdict:
    (verdict,) = judge_budgets(recent(use, **given))
    return verdict


@pytest.mark.parametrize(
    ("period", "today", "begins", "anew", "named"),
    [
        (Period.DAY, date(2026, 12, 31), "2026-12-31", "2027-01-01", "2026-12-31"),
        (Period.DAY, date(2028, 2, 28), "2028-02-28", "2028-02-29", "2028-02-28"),
        (Period.MONTH, date(2026, 12, 31), "2026-12-01", "2027-01-01", "December 2026"),
        (Period.MONTH, date(2028, 1, 31), "2028-01-01", "2028-02-01", "January 2028"),
        (Period.MONTH, date(2028, 2, 1), "2028-02-01", "2028-03-01", "February 2028"),
    ],
)
def test_a_period_begins_with_a_day_of_the_calendar(
    period: Period, today: date, begins: str, anew: str, named: str
) -> None:
    assert period.begins(today).isoformat() == begins
    assert period.begins_anew(today).isoformat() == anew
    assert period.named(today) == named


def test_what_is_packed_is_taken_from_the_companys_budget_and_from_that_of_all() -> None:
    of_all = replace(USE, company_id=ALL_COMPANIES, company=None, amount_eur=5.0)
    budgets = Budgets([USE, of_all])
    budgets.take("c1", 1.0)
    budgets.take("c2", 0.5)
    left = {one.is_of_all: one.left_eur for one in budgets.left_for("c1")}
    assert left == {False: 7.0, True: 1.5}
    assert [one.left_eur for one in budgets.left_for("c2")] == [1.5]


def test_a_budget_says_what_is_left_and_when_it_begins_anew() -> None:
    assert (USE.left_eur, USE.percent, USE.is_spent) == (8, 20, False)
    assert USE.sentence == "Budget of Zorg for March 2026: 2.00 of 10.00 EUR spent (20 %)."
    nearly = replace(USE, spent_eur=9.5)
    assert nearly.sentence == (
        "Budget of Zorg for March 2026: 9.50 of 10.00 EUR spent (95 %); what costs more than the "
        "0.5000 EUR left waits until 2026-04-01 (UTC) or for `batch-assets budget set`."
    )
    beyond = replace(USE, spent_eur=12.0)
    assert (beyond.left_eur, beyond.percent, beyond.is_spent) == (0, 120, True)
    assert replace(USE, amount_eur=0.0, spent_eur=0.0).is_spent
    assert replace(USE, company=None).whose == "c1 (deleted)"
    assert replace(USE, company="").whose == "c1"
    nothing = replace(USE, amount_eur=0.0, spent_eur=0.0)
    assert nothing.sentence == (
        "Budget of Zorg for March 2026: 0.0000 of 0.0000 EUR spent (100 %); nothing is sent before "
        "`batch-assets budget set`."
    )
    assert judged(nothing).summary.endswith("It is 0, and nothing is sent before it is raised.")


def test_requests_that_wait_for_a_budget_are_told_from_others() -> None:
    held = {USE.held_reason: 3, "cap on estimated cost": 2, "model budget of x is in cooldown": 1}
    assert held_by_budgets(held) == 3


def test_budgets_are_read_as_the_database_writes_them() -> None:
    row = {
        **{name: getattr(USE, name) for name in ("company_id", "company", "amount_eur")},
        "spent_eur": 2.0,
        "period": "month",
        "today": "2026-03-14",
        "set_by": "the tests",
        "set_at": "2026-02-02T13:00:00+01:00",
    }
    assert read_budgets([row]) == [USE]


@pytest.mark.parametrize(
    ("spent", "severity"),
    [(7.99, None), (8.0, "WARN"), (9.99, "WARN"), (10.0, "ERROR"), (25.0, "ERROR")],
)
def test_a_budget_is_warned_about_at_80_percent_and_an_error_at_100(
    spent: float, severity: str | None
) -> None:
    verdict = judged(replace(USE, spent_eur=spent))
    assert (verdict.severity if verdict.is_raised else None) == severity
    assert verdict.name == "budget_month_of_c1"
    assert bool(verdict.advice) == verdict.is_raised


def test_a_budget_that_requests_wait_for_is_an_error_before_100_percent() -> None:
    verdict = judged(replace(USE, spent_eur=9.7), held=(USE.held_reason,))
    assert verdict.severity is Severity.ERROR
    assert verdict.summary == (
        "A budget for March 2026 is spent to 97 %. What goes beyond it waits until 2026-04-01 "
        "(UTC)."
    )
    assert verdict.faults == ("9.70 of 10.00 EUR for March 2026 of company Zorg (c1).",)
    assert "`batch-assets budget set month EUR --company c1` raises it" in verdict.advice


def test_a_budget_that_is_too_small_for_a_request_is_an_error_that_says_so() -> None:
    verdict = judged(USE, held=(USE.too_small_reason,))
    assert (verdict.is_raised, verdict.severity) == (True, Severity.ERROR)
    assert verdict.summary == (
        "A budget for March 2026 is spent to 20 %. Requests wait that are estimated at more than "
        "the whole of it."
    )
    assert held_by_budgets({USE.too_small_reason: 2}) == 2


@pytest.mark.parametrize(
    ("use", "is_raised"),
    [
        (replace(USE, spent_eur=7.9), True),
        (replace(USE, spent_eur=6.4), False),
        (replace(USE, spent_eur=7.9, set_at=NOW - timedelta(hours=1)), False),
        (replace(USE, spent_eur=9.9, set_at=NOW - timedelta(hours=1)), True),
        (replace(USE, spent_eur=0.0, today=date(2026, 4, 1)), False),
        (replace(USE, spent_eur=7.9, today=date(2026, 4, 1)), False),
    ],
    ids=["wobbles", "settled for less", "raised", "raised too little", "turned", "turned, warm"],
)
def test_it_ends_with_the_period_or_once_the_budget_is_raised(
    use: BudgetUse, is_raised: bool
) -> None:
    states = after()
    verdict = judged(use, **states)
    assert verdict.is_raised is is_raised
    assert [change.is_raised for change in changes([verdict], states)] == [False] * (not is_raised)


def test_what_was_an_error_does_not_become_a_warning_and_an_error_again() -> None:
    states = after(Severity.ERROR)
    assert judged(replace(USE, spent_eur=9.0), **states).severity is Severity.ERROR


def test_an_error_ends_with_the_budget_that_is_raised_so_that_the_next_is_told() -> None:
    states = after(Severity.ERROR)
    turned = replace(USE, spent_eur=9.0, today=date(2026, 4, 2))
    more = replace(USE, spent_eur=9.0, set_at=NOW - timedelta(hours=1))
    assert [judged(one, **states).is_raised for one in (turned, more)] == [False, False]
    assert judged(replace(more, spent_eur=10.0), **states).is_raised


def test_an_alert_of_a_budget_that_was_taken_back_ends() -> None:
    states = after(Severity.ERROR)
    (verdict,) = judge_budgets(Recent(NOW, "i", "d", states=states))
    (change,) = changes([verdict], states)
    assert (change.is_raised, change.name) == (False, alert_of(USE))
    assert change.summary.startswith("The budget was taken back.")


def test_the_check_names_those_that_are_raised_the_fullest_first() -> None:
    uses = [
        replace(USE, spent_eur=8.5),
        replace(USE, company_id="c2", company="Oost", spent_eur=30.0),
        replace(USE, company_id=ALL_COMPANIES, company=None, period=Period.DAY),
    ]
    found = recent(*uses)
    verdicts = blame(judge(found, some_limits()), faults_of(found))
    (check,) = [verdict for verdict in verdicts if verdict.name == BUDGETS]
    assert check.summary == (
        "Of 3 budgets, 2 are spent to 80 % or more, 1 of them so far that requests wait."
    )
    assert (check.is_raised, check.severity) == (True, Severity.ERROR)
    assert check.faults == (
        "30.00 of 10.00 EUR for March 2026 of company Oost (c2).",
        "8.50 of 10.00 EUR for March 2026 of company Zorg (c1).",
    )
    assert check.numbers["fullest_percent"] == 300
    (none,) = [one for one in judge(recent(), some_limits()) if one.name == BUDGETS]
    assert (none.is_raised, none.is_known) == (False, True)


def test_the_name_of_an_alert_holds_nothing_that_steers_or_marks() -> None:
    assert alert_of(replace(USE, company_id=ALL_COMPANIES)) == "budget_month"
    odd = {alert_of(replace(USE, company_id=one)) for one in ("<b>", "a b", "@all", "x" * 65, "é")}
    assert len(odd) == 5
    assert all(name.replace("_", "").isalnum() and name.isascii() for name in odd)
