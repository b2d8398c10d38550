"""The alerts: which there are, and whether each is raised. `docs/alerts.md` explains them.

An alert is raised beyond its limit and resolved only well within it, so that a value that moves
about the limit is reported once. Where there is not enough to say, it stays as it was: unknown is
neither zero nor well.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from batch_assets.domain.alerts import budgets, conditions, rates
from batch_assets.domain.alerts.advice import BUDGETS, advise, behind
from batch_assets.domain.alerts.records import (
    AlertState,
    Change,
    CheckOutcome,
    Fault,
    Limits,
    Measure,
    Recent,
    Severity,
    Verdict,
)

RESOLVES_AT: Final = 0.8
"""An alert that was raised ends at this part of its limit; of a floor, at the limit over this."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One alert."""

    asset: str
    """The asset of which it is a check: a group of metrics."""
    description: str
    measure: Callable[[Recent, Limits], Measure]


RULES: Final[Mapping[str, Rule]] = {
    "error_rate": Rule(
        "reliability",
        "Of the requests that were answered recently, not too many have failed "
        "(BATCH_ALERT_THRESHOLD_ERROR_RATE).",
        rates.error_rate,
    ),
    "batch_age": Rule(
        "batch_turnaround",
        "No batch is on the server for longer than BATCH_ALERT_THRESHOLD_PROCESSING_TIME and than "
        "nearly all batches of the last day; an error once it is older than BATCH_TIMEOUT_HOURS.",
        conditions.batch_age,
    ),
    "failed_batch": Rule(
        "reliability",
        "The server has not refused or failed a whole batch recently.",
        conditions.failed_batch,
    ),
    "throughput_too_low": Rule(
        "throughput",
        "While there is something to read or submit, it goes fast enough "
        "(BATCH_ALERT_THRESHOLD_REQUESTS_PER_SECOND).",
        rates.throughput_too_low,
    ),
    "lookup_hit_rate": Rule(
        "company_lookup",
        "Nearly all runs know the active companies without asking the database "
        "(BATCH_ALERT_THRESHOLD_LOOKUP_HIT_RATE).",
        rates.lookup_hit_rate,
    ),
    "fallback_rate": Rule(
        "queries",
        "The original implementation rarely has to do what the optimized one failed at "
        "(BATCH_ALERT_THRESHOLD_FALLBACK_RATE).",
        rates.fallback_rate,
    ),
    "dead_letters": Rule(
        "backlog",
        "Not many requests have become dead letters recently "
        "(BATCH_ALERT_THRESHOLD_NEW_DEAD_LETTERS) or in all (BATCH_ALERT_THRESHOLD_DEAD_LETTERS).",
        rates.dead_letters,
    ),
    "cost_above_budget": Rule(
        "money",
        "What was read since midnight UTC costs no more than BATCH_ALERT_THRESHOLD_DAY_COST_EUR.",
        rates.cost_above_budget,
    ),
    BUDGETS: Rule(
        "money",
        "No budget is spent to 80 % or more; an error once requests wait for one. Receivers hear "
        "of each budget by itself.",
        lambda recent, _limits: budgets.measure(recent),
    ),
    "open_breaker": Rule(
        "reliability",
        "No operation of the API was refused by its breaker lately.",
        conditions.open_breaker,
    ),
    "backlog_age": Rule(
        "backlog",
        "No request waits for much longer than it takes to be due "
        "(BATCH_ALERT_THRESHOLD_OVERDUE_MINUTES).",
        conditions.backlog_age,
    ),
    "account_refused": Rule(
        "reliability",
        "The API takes the key, and the account may do what it is asked for: the first run that is "
        "refused says so.",
        conditions.account_refused,
    ),
    "schedule_paused": Rule(
        "reliability",
        "The schedule is not in cooldown after failed runs.",
        conditions.schedule_paused,
    ),
    "livedash_timers": Rule(
        "reliability",
        "LiveDash's own batch timers do nothing beside this project: they would buy again what is "
        "bought here.",
        conditions.livedash_timers,
    ),
    "livedash_changed": Rule(
        "reliability",
        "LiveDash's tables have every column that a run needs: while one is missing, nothing is "
        "sent and no result is read.",
        conditions.livedash_changed,
    ),
    "unknown_batches": Rule(
        "reliability",
        "No other database makes batches under this installation's id: a copy of this one, or this "
        "one before it was put back.",
        conditions.unknown_batches,
    ),
    "unresolved_submission": Rule(
        "reliability",
        "What became of a submission that was cut short is found out within two hours.",
        conditions.unresolved_submission,
    ),
}
"""Every alert by its name, in the order in which people see them."""


def judge(recent: Recent, limits: Limits) -> list[Verdict]:
    """Judge every alert, in the order of the rules."""
    return [
        _verdict(name, rule.measure(recent, limits), recent.states.get(name))
        for name, rule in RULES.items()
    ]


def judge_outcome(outcome: CheckOutcome) -> Verdict:
    """Judge a check that was evaluated elsewhere; whoever evaluated it says what to do."""
    is_raised = not outcome.passed
    return Verdict(
        name=outcome.name,
        is_raised=is_raised,
        is_known=True,
        severity=outcome.severity,
        summary=outcome.description,
        numbers={},
        advice=advise(outcome.name, []) if is_raised else "",
    )


def blame(verdicts: Sequence[Verdict], faults: Sequence[Fault]) -> list[Verdict]:
    """Name who or what is behind each raised alert, and what to do about it."""
    blamed = []
    for verdict in verdicts:
        if verdict.is_raised:
            own = [fault for fault in faults if fault.alert == verdict.name]
            said = tuple(behind(fault) for fault in own)
            blamed.append(replace(verdict, faults=said, advice=advise(verdict.name, own)))
        else:
            blamed.append(verdict)
    return blamed


def changes(verdicts: Sequence[Verdict], states: Mapping[str, AlertState]) -> list[Change]:
    """What differs from what was raised before: raised, raised more severely, or resolved."""
    found = []
    for verdict in verdicts:
        state = states.get(verdict.name)
        was_raised = state is not None and state.is_raised
        if verdict.is_raised and not (was_raised and not _is_worse(verdict, state)):
            summary = " ".join([verdict.summary, *verdict.faults])
            found.append(Change(verdict.name, True, verdict.severity, summary))
        elif was_raised and not verdict.is_raised and state is not None:
            summary = f"{verdict.summary} It was raised at {state.since:%Y-%m-%d %H:%M} UTC."
            found.append(Change(verdict.name, False, state.severity, summary))
    return found


def _is_worse(verdict: Verdict, state: AlertState | None) -> bool:
    """Whether it has become an error; that it has become milder is not reported."""
    was_mild = state is not None and state.severity is Severity.WARN
    return was_mild and verdict.severity is Severity.ERROR


def _verdict(name: str, measure: Measure, state: AlertState | None) -> Verdict:
    was_raised = state is not None and state.is_raised
    is_known = measure.limit is None or measure.value is not None
    is_raised = _is_raised(measure, was_raised=was_raised)
    summary = measure.sentence
    if is_raised and not _is_beyond(measure) and state is not None:
        summary += f" Raised at {state.since:%Y-%m-%d %H:%M} UTC, it is not well over yet."
    return Verdict(
        name=name,
        is_raised=is_raised,
        is_known=is_known,
        severity=measure.severity,
        summary=summary,
        numbers=measure.numbers,
    )


def _is_raised(measure: Measure, *, was_raised: bool) -> bool:
    if measure.limit is None:
        return False
    if measure.value is None:
        return was_raised
    return _is_beyond(measure) or (was_raised and not _is_well_within(measure))


def _is_beyond(measure: Measure) -> bool:
    if measure.value is None or measure.limit is None:
        return False
    if measure.is_floor:
        return measure.value < measure.limit
    return measure.value > measure.limit


def _is_well_within(measure: Measure) -> bool:
    if measure.value is None or measure.limit is None:
        return False
    if measure.is_floor:
        return measure.value >= measure.limit / RESOLVES_AT
    return measure.value <= measure.limit * RESOLVES_AT
