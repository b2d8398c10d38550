"""What the operations did between two moments, in numbers and a sentence for people."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from batch_assets.domain.metrics import QueryUse
from batch_assets.store.strategy.modes import Choice, Implementation, QueryMode, Toggle
from batch_assets.store.strategy.tracking import Key, Purpose, Totals


@dataclass(frozen=True, slots=True)
class QueryReport:
    """The work of some operations. Statements and seconds are those of probes, too."""

    query_mode: str
    query_choice_reason: str
    query_statements: int
    query_rows: int
    database_seconds: float
    query_fallbacks: int
    query_operations: Mapping[str, Mapping[str, Any]]
    """By operation: implementation and reason, calls, statements, rows, seconds, failures and
    fallbacks, and what its probe cost."""


def query_report(
    toggle: Toggle, measured: Mapping[Key, Totals], choices: Mapping[str, Choice]
) -> QueryReport:
    """Put together what was measured; `choices` has every operation that was."""
    work: defaultdict[str, Totals] = defaultdict(Totals)
    probes: defaultdict[str, Totals] = defaultdict(Totals)
    for key, totals in measured.items():
        if key.purpose is Purpose.WORK:
            work[key.operation] += totals
        elif key.implementation is not choices[key.operation].implementation:
            probes[key.operation] += totals
    whole, spent = sum(work.values(), Totals()), _spent(measured, choices)
    chosen = {operation: choices[operation] for operation in sorted(work)}
    return QueryReport(
        query_mode=toggle.mode.value,
        query_choice_reason=_in_short(toggle, chosen),
        query_statements=spent.statements,
        query_rows=whole.rows,
        database_seconds=round(spent.seconds, 6),
        query_fallbacks=whole.fallbacks,
        query_operations={
            operation: _entry(choice, work[operation], probes[operation])
            for operation, choice in chosen.items()
        },
    )


def query_use(measured: Mapping[Key, Totals], choices: Mapping[str, Choice]) -> QueryUse:
    """What was measured, as figures of a run."""
    work = {key: totals for key, totals in measured.items() if key.purpose is Purpose.WORK}
    whole, spent = sum(work.values(), Totals()), _spent(measured, choices)
    optimized = sum(
        (one for key, one in work.items() if key.implementation is Implementation.OPTIMIZED),
        Totals(),
    )
    return QueryUse(
        query_statements=spent.statements,
        query_rows=whole.rows,
        database_seconds=round(spent.seconds, 6),
        query_operations=whole.calls - whole.fallbacks,
        optimized_operations=optimized.calls - whole.fallbacks,
        query_fallbacks=whole.fallbacks,
    )


def _spent(measured: Mapping[Key, Totals], choices: Mapping[str, Choice]) -> Totals:
    """Work and probes. What a probe is compared with was work, and stands beside it once more."""
    return sum(
        (
            totals
            for key, totals in measured.items()
            if key.purpose is Purpose.WORK
            or key.implementation is not choices[key.operation].implementation
        ),
        Totals(),
    )


def _entry(choice: Choice, work: Totals, probe: Totals) -> dict[str, Any]:
    return {
        "implementation": choice.implementation.value,
        "reason": choice.reason,
        # What the original does again is one call, and costs what both have cost.
        "calls": work.calls - work.fallbacks,
        "failures": work.failures,
        "fallbacks": work.fallbacks,
        "statements": work.statements,
        "rows": work.rows,
        "seconds": round(work.seconds, 6),
        "probe_statements": probe.statements,
        "probe_seconds": round(probe.seconds, 6),
    }


def _in_short(toggle: Toggle, choices: Mapping[str, Choice]) -> str:
    """`optimized: asked for in the environment`, or with the operations where there are several.

    Where each operation has a reason of its own, also where that was asked for.
    """
    alike: defaultdict[str, list[str]] = defaultdict(list)
    for operation, choice in choices.items():
        alike[f"{choice.implementation}: {choice.reason}"].append(operation)
    if not alike:
        return "nothing was asked of the database"
    said = "; ".join(f"{choice} ({', '.join(names)})" for choice, names in alike.items())
    if len(alike) == 1:
        said = next(iter(alike))
    if toggle.mode is QueryMode.AUTO and toggle.asked_in != Toggle().asked_in:
        said += f"; the comparison is asked for in {toggle.asked_in}"
    return said
