"""The op that draws what a line chart does not show, and the assets that it reports on.

What draws is loaded where it is used: that takes a second, and every process of Dagster's loads
this module.
"""

from base64 import b64encode
from collections.abc import Mapping
from typing import Any, Final

import dagster as dg

from batch_assets.ops.failures import clear_failures
from batch_assets.ops.reporting import materialize
from batch_assets.resources.connections import DatabaseResource
from batch_assets.store.metrics import ReportData

TURNAROUND: Final = dg.AssetKey("turnaround_report")
COST: Final = dg.AssetKey("cost_report")
COMPARISON: Final = dg.AssetKey("query_comparison_report")

WEEK_DAYS: Final = 7
MONTH_DAYS: Final = 30
MOST_COMPANIES: Final = 8


@dg.op(out=dg.Out(int, description="How many charts were drawn."))
@clear_failures()
def draw_reports(context: dg.OpExecutionContext, database: DatabaseResource) -> int:
    """Draw turnaround, cost by company, and original against optimized; three statements."""
    data = ReportData(database.engine)
    drawn = {TURNAROUND: _turnaround(data), COST: _cost(data), COMPARISON: _comparison(data)}
    for key, entries in drawn.items():
        materialize(context, key, entries)
    return len(drawn)


def _turnaround(data: ReportData) -> dict[str, Any]:
    from batch_assets.charts import turnaround_chart  # noqa: PLC0415 (see above)

    report = data.turnaround(WEEK_DAYS)
    numbers = {
        "batches": report.batches,
        "p50_seconds": report.p50_seconds,
        "p90_seconds": report.p90_seconds,
        "p99_seconds": report.p99_seconds,
    }
    return _entries(TURNAROUND, numbers, turnaround_chart(report, WEEK_DAYS))


def _cost(data: ReportData) -> dict[str, Any]:
    from batch_assets.charts import cost_chart  # noqa: PLC0415 (see above)

    report = data.cost_by_day(MONTH_DAYS, MOST_COMPANIES)
    numbers = {
        "cost_eur": report.cost_eur,
        "live_cost_eur": report.live_cost_eur,
        "saved_eur": report.live_cost_eur - report.cost_eur,
        "unpriced_answers": report.unpriced,
    }
    return _entries(COST, numbers, cost_chart(report, MONTH_DAYS))


def _comparison(data: ReportData) -> dict[str, Any]:
    from batch_assets.charts import comparison_chart  # noqa: PLC0415 (see above)

    paces = data.pace(WEEK_DAYS)
    numbers = {
        "operations": len(paces),
        "operations_with_both": sum(pace.has_both for pace in paces),
    }
    return _entries(COMPARISON, numbers, comparison_chart(paces, WEEK_DAYS))


def _entries(key: dg.AssetKey, numbers: Mapping[str, float | None], png: bytes) -> dict[str, Any]:
    """The numbers that are known, and the chart in the one form that the UI shows inline."""
    title = key.to_user_string().replace("_", " ")
    picture = f"![{title}](data:image/png;base64,{b64encode(png).decode()})"
    known = {name: round(number, 9) for name, number in numbers.items() if number is not None}
    return {"picture": dg.MetadataValue.md(picture), **known}
