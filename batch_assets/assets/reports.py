"""The reports: charts of the history, drawn by `report_job` and by whoever materializes them.

What draws is loaded where it is used: that takes a second, and every process of Dagster's loads
this module.
"""

from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import dagster as dg

from batch_assets.assets.declared import BATCHES, OWNERS, QUERY_MEASUREMENTS
from batch_assets.ops.failures import clear_failures
from batch_assets.ops.reporting import materialized
from batch_assets.resources.connections import DatabaseResource
from batch_assets.store.metrics import ReportData

TURNAROUND: Final = dg.AssetKey("turnaround_report")
COST: Final = dg.AssetKey("cost_report")
COMPARISON: Final = dg.AssetKey("query_comparison_report")

WEEK_DAYS: Final = 7
MONTH_DAYS: Final = 30
MOST_COMPANIES: Final = 8


def _report(key: dg.AssetKey, drawn_from: dg.AssetKey, description: str) -> dg.AssetSpec:
    """Declare one asset a chart: `chart` is Markdown that shows it."""
    return dg.AssetSpec(
        key=key,
        deps=[drawn_from],
        description=f"{description} Drawn once an hour by `report_job`.",
        group_name="reports",
        owners=OWNERS,
        tags={"batch_assets/kind": "report"},
        kinds={"postgres", "matplotlib"},
    )


@dg.multi_asset(
    name="draw_reports",
    description="Draw turnaround, cost by company, original against optimized; a statement each.",
    specs=[
        _report(
            TURNAROUND,
            BATCHES,
            "How long our batches of the last seven days took on the server: how many took how "
            "long, and which part of them took no longer. `batches` is how many there were; half "
            "of them took no longer than `p50_seconds`, nine of ten than `p90_seconds`.",
        ),
        _report(
            COST,
            BATCHES,
            "What each day of the last 30 has cost by company, the eight that cost most and all "
            "others, beside what synchronous calls would have cost, by the UTC day of the "
            "submission. `cost_eur`, `synchronous_cost_eur` and `saved_eur` are the sums.",
        ),
        _report(
            COMPARISON,
            QUERY_MEASUREMENTS,
            "Seconds a call of each database operation in the original and in the optimized "
            "implementation, over the last seven days, on a logarithmic scale. `operations` is "
            "how many were measured, `operations_with_both` for how many both were.",
        ),
    ],
    can_subset=True,
)
def draw_reports(
    context: dg.AssetExecutionContext, database: DatabaseResource
) -> Iterator[dg.MaterializeResult[None]]:
    """Draw those that are asked for."""
    for key, draw in _DRAWN.items():
        if key in context.selected_asset_keys:
            with clear_failures():
                entries = draw(ReportData(database.engine))
            yield materialized(key, entries)


def _turnaround(data: ReportData) -> dict[str, Any]:
    from batch_assets.assets.report_charts import turnaround_chart  # noqa: PLC0415 (see above)

    report = data.turnaround(WEEK_DAYS)
    numbers = {
        "batches": report.batches,
        "p50_seconds": report.p50_seconds,
        "p90_seconds": report.p90_seconds,
        "p99_seconds": report.p99_seconds,
    }
    return _entries(TURNAROUND, numbers, turnaround_chart(report, WEEK_DAYS))


def _cost(data: ReportData) -> dict[str, Any]:
    from batch_assets.assets.report_charts import cost_chart  # noqa: PLC0415 (see above)

    report = data.cost_by_day(MONTH_DAYS, MOST_COMPANIES)
    numbers = {
        "cost_eur": report.cost_eur,
        "synchronous_cost_eur": report.synchronous_cost_eur,
        "saved_eur": report.saved_eur,
        "unpriced_answers": report.unpriced,
    }
    return _entries(COST, numbers, cost_chart(report, MONTH_DAYS))


def _comparison(data: ReportData) -> dict[str, Any]:
    from batch_assets.assets.report_charts import comparison_chart  # noqa: PLC0415 (see above)

    paces = data.pace(WEEK_DAYS)
    numbers = {
        "operations": len(paces),
        "operations_with_both": sum(pace.has_both for pace in paces),
    }
    return _entries(COMPARISON, numbers, comparison_chart(paces, WEEK_DAYS))


def _entries(key: dg.AssetKey, numbers: Mapping[str, float | None], png: bytes) -> dict[str, Any]:
    """The numbers that are known, and the chart in the one form that the UI shows inline."""
    title = key.to_user_string().replace("_", " ")
    chart = f"![{title}](data:image/png;base64,{b64encode(png).decode()})"
    known = {name: round(number, 9) for name, number in numbers.items() if number is not None}
    return {"chart": dg.MetadataValue.md(chart), **known}


_DRAWN: Final[Mapping[dg.AssetKey, Callable[[ReportData], dict[str, Any]]]] = {
    TURNAROUND: _turnaround,
    COST: _cost,
    COMPARISON: _comparison,
}
