"""The alerts of budgets: one for each of them, beside the check that names them all.

Each is raised as a warning at 80 % and as an error once the budget is spent or requests wait for
it. It ends with the period, or once the budget is raised or taken back. The check itself is no
alert: it is neither kept nor delivered.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, time
from typing import Final

from batch_assets.domain.alerts.advice import BUDGETS, OF_BUDGET, advise, behind
from batch_assets.domain.alerts.records import (
    AlertState,
    Fault,
    Measure,
    Number,
    Recent,
    Severity,
    Verdict,
)
from batch_assets.domain.budgets import WARNED_PERCENT, BudgetUse
from batch_assets.domain.display import plural

_RESOLVES_AT: Final = 0.8
_PLAIN: Final = re.compile(r"[\w-]{1,64}", re.ASCII)


def alert_of(use: BudgetUse) -> str:
    """The name of the alert of a budget, made of nothing that a receiver could take for markup."""
    if use.is_of_all:
        return f"{OF_BUDGET}{use.period}"
    plain = use.company_id
    if not _PLAIN.fullmatch(plain):
        plain = hashlib.sha256(plain.encode()).hexdigest()[:16]
    return f"{OF_BUDGET}{use.period}_of_{plain}"


def measure(recent: Recent) -> Measure:
    """How many budgets are nearly or wholly spent."""
    verdicts = judge_budgets(recent)
    raised = [verdict for verdict in verdicts if verdict.is_raised]
    spent = sum(verdict.severity is Severity.ERROR for verdict in raised)
    fullest = max((use.percent for use in recent.budgets), default=None)
    if not recent.budgets:
        sentence = "No budget is set (`batch-assets budget set`)."
    else:
        sentence = (
            f"Of {plural(len(recent.budgets), 'budget')}, {len(raised):,} are spent to "
            f"{WARNED_PERCENT:g} % or more, {spent:,} of them so far that requests wait."
        )
    numbers: dict[str, Number] = {
        "budgets": len(recent.budgets),
        "nearly_spent": len(raised) - spent,
        "spent": spent,
        "fullest_percent": fullest,
        "threshold_percent": WARNED_PERCENT,
    }
    severity = Severity.ERROR if spent else Severity.WARN
    return Measure(len(raised), 0, sentence, numbers, severity)


def judge_budgets(recent: Recent) -> list[Verdict]:
    """Judge each budget, and those that are raised and that nobody has set any more."""
    named = {alert_of(use): use for use in recent.budgets}
    gone = [
        _is_over(name, state)
        for name, state in recent.states.items()
        if name.startswith(OF_BUDGET) and state.is_raised and name not in named
    ]
    return [_judged(name, use, recent) for name, use in named.items()] + gone


def faults_of(recent: Recent) -> list[Fault]:
    """The budgets behind the check, the fullest first."""
    raised = {verdict.name for verdict in judge_budgets(recent) if verdict.is_raised}
    uses = [use for use in recent.budgets if alert_of(use) in raised]
    return [_fault(use, BUDGETS) for use in sorted(uses, key=lambda use: -use.percent)]


def faults_by_alert(uses: Iterable[BudgetUse]) -> list[Fault]:
    """What would be behind the alert of each budget, whether it is raised or not."""
    return [_fault(use, alert_of(use)) for use in uses]


def _judged(name: str, use: BudgetUse, recent: Recent) -> Verdict:
    state = recent.states.get(name)
    is_too_small = use.too_small_reason in recent.held
    is_spent = use.is_spent or is_too_small or use.held_reason in recent.held
    is_raised = is_spent or use.percent >= WARNED_PERCENT
    if state is not None and state.is_raised:
        was_spent = state.severity is Severity.ERROR
        if _is_as_it_was(use, state):
            is_spent = is_spent or was_spent
            # What was estimated and costs less than that does not end it.
            is_raised = is_raised or use.percent > WARNED_PERCENT * _RESOLVES_AT
        elif was_spent and not is_spent:
            # It ends here, so that the next warning and error are told again.
            is_raised = False
    faults: Sequence[Fault] = [_fault(use, name)] if is_raised else []
    return Verdict(
        name=name,
        is_raised=is_raised,
        is_known=True,
        severity=Severity.ERROR if is_spent else Severity.WARN,
        summary=_summary(use, is_spent=is_spent and is_raised, is_too_small=is_too_small),
        numbers={},
        faults=tuple(map(behind, faults)),
        advice=advise(name, faults) if is_raised else "",
    )


def _is_as_it_was(use: BudgetUse, state: AlertState) -> bool:
    """Whether neither period nor amount has changed since the alert was raised."""
    began = datetime.combine(use.period.begins(use.today), time(), UTC)
    return state.since >= max(began, use.set_at)


def _summary(use: BudgetUse, *, is_spent: bool, is_too_small: bool) -> str:
    said = f"A budget for {use.of_when} is spent to {use.percent:.0f} %."
    if is_spent and use.is_of_nothing:
        return f"{said} It is 0, and nothing is sent before it is raised."
    if is_too_small:
        return f"{said} Requests wait that are estimated at more than the whole of it."
    return f"{said} What goes beyond it waits until {use.begins_anew} (UTC)." if is_spent else said


def _fault(use: BudgetUse, alert: str) -> Fault:
    return Fault(
        alert,
        company_id=use.company_id or None,
        company=use.company,
        subject=use.period,
        label=use.of_when,
        amount=use.spent_eur,
        total=use.amount_eur,
    )


def _is_over(name: str, state: AlertState) -> Verdict:
    return Verdict(
        name=name,
        is_raised=False,
        is_known=True,
        severity=state.severity,
        summary="The budget was taken back.",
        numbers={},
    )
