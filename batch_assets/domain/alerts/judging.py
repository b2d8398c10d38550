"""Raised or not: a measure against its limit, and against what was raised before.

An alert is raised beyond its limit and resolved only well within it, so that a value that moves
about the limit is told of once. Where there is not enough to say, it stays as it was: unknown is
neither zero nor well.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from batch_assets.domain.alerts.advice import advise, behind
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
from batch_assets.domain.alerts.rules import RULES

RESOLVES_AT: Final = 0.8
"""An alert that was raised ends at this part of its limit; of a floor, at the limit over this."""


def judge(recent: Recent, limits: Limits) -> list[Verdict]:
    """Every alert, in the order of the rules."""
    return [
        _verdict(name, rule.measure(recent, limits), recent.states.get(name))
        for name, rule in RULES.items()
    ]


def judge_outcome(outcome: CheckOutcome) -> Verdict:
    """What a check that was evaluated elsewhere says; whoever evaluated it says what to do."""
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
    """The same, with who or what is behind the raised ones and what to do about them."""
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
    """Whether it has become an error; that it has become milder is not told."""
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
