"""What each check says: of row conservation, and of the alerts.

The last ops of a run and the audit evaluate them; each can be executed by itself as well.
"""

from collections.abc import Sequence
from typing import Final

import dagster as dg

from batch_assets.domain.alerts.records import Number, Verdict
from batch_assets.domain.alerts.rules import RULES
from batch_assets.domain.conservation import Violations
from batch_assets.domain.cost_audit import ADVICE, CostDifference
from batch_assets.ops.reporting import evaluation_of, plotted

ASSET = dg.AssetKey("row_conservation")
OPEN_ROWS = "open_rows_conserved"
ALL_ROWS = "all_rows_conserved"
MOST_SAID = 20
"""How many figures that differ are named."""
_STAYS: Final = "threshold_"

_PLOTTED: Final = ("rows", "rows_in_batch", "retries", "dead_letters", "cost_differences")
_VIOLATIONS = dg.TableSchema(
    columns=[
        dg.TableColumn("kind"),
        dg.TableColumn("count", "int"),
        dg.TableColumn("meaning"),
        dg.TableColumn("what_to_do"),
        dg.TableColumn("ids", description="The first 20, of requests or of batches."),
    ]
)


def conservation_evaluation(
    check: str,
    violations: Sequence[Violations],
    numbers: dict[str, int],
    *,
    adds_up: bool = True,
    costs: Sequence[CostDifference] = (),
) -> dg.AssetCheckEvaluation:
    """What a check says: it names what does not fit, and what to do about it.

    What LiveDash has done beside us is a warning. Every number is there each time, zeros too.
    """
    is_off = not adds_up or bool(costs)
    is_error = is_off or any(found.meaning.is_error for found in violations)
    return evaluation_of(
        dg.AssetCheckKey(ASSET, check),
        passed=not (is_off or violations),
        severity=dg.AssetCheckSeverity.ERROR if is_error else dg.AssetCheckSeverity.WARN,
        description=_sentence(violations, costs, adds_up=adds_up),
        entries={**plotted(numbers, _PLOTTED), "violations": _violations_table(violations)},
    )


def _violations_table(violations: Sequence[Violations]) -> dg.TableMetadataValue:
    records = [
        dg.TableRecord(
            {
                "kind": str(found.kind),
                "count": found.count,
                "meaning": found.meaning.sentence,
                "what_to_do": found.meaning.advice,
                "ids": ", ".join(found.ids),
            }
        )
        for found in violations
    ]
    return dg.MetadataValue.table(records, schema=_VIOLATIONS)


def _sentence(
    violations: Sequence[Violations], costs: Sequence[CostDifference], *, adds_up: bool
) -> str:
    said = [] if adds_up else ["The buckets do not add up to the rows."]
    said += [f"{found.kind}: {found.count}. {found.meaning.sentence}" for found in violations]
    said += [one.sentence for one in costs[:MOST_SAID]]
    if len(costs) > MOST_SAID:
        said.append(f"And {len(costs) - MOST_SAID} more figures differ.")
    if costs:
        said.append(ADVICE)
    return " ".join(said) or "Each request is in exactly one bucket."


def alert_evaluation(verdict: Verdict) -> dg.AssetCheckEvaluation:
    """What a check says: whether it passes, why, and what to do. Every number is always there."""
    return evaluation_of(
        dg.AssetCheckKey(dg.AssetKey(RULES[verdict.name].asset), verdict.name),
        passed=not verdict.is_raised,
        severity=dg.AssetCheckSeverity(verdict.severity),
        description=verdict.summary,
        entries={
            **{name: _shown(name, number) for name, number in verdict.numbers.items()},
            "what_to_do": verdict.advice or "Nothing.",
            "behind": " ".join(verdict.faults)
            or ("Not known." if verdict.is_raised else "Nothing."),
        },
    )


def _shown(name: str, number: Number) -> Number | str:
    """A number, which Dagster draws over time; a threshold as text, since it stays as it is."""
    rounded = round(number, 3) if isinstance(number, float) else number
    return f"{rounded:g}" if name.startswith(_STAYS) and rounded is not None else rounded
