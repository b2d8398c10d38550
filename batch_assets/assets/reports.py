"""The reports: charts of the history, drawn by `report_job` and by whoever materializes them.

What draws is loaded where it is used: that takes a second, and every process of Dagster's loads
this module.
"""

from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Final

import dagster as dg

from batch_assets.assets.declared import BATCHES, OWNERS, QUERY_MEASUREMENTS
from batch_assets.domain.forecasts import Forecast, Forecasts, foresee
from batch_assets.domain.report_data import CostOutlook, TurnaroundOutlook
from batch_assets.ops.failures import clear_failures
from batch_assets.ops.reporting import materialized, table_of
from batch_assets.resources.connections import DatabaseResource
from batch_assets.stages.forecasts import look_ahead
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
    description="Draw turnaround and cost, and what is coming of both; original against optimized.",
    specs=[
        _report(
            TURNAROUND,
            BATCHES,
            "How long our batches of the last seven days took on the server: how many took how "
            "long, and which part of them took no longer. `batches` is how many there were; half "
            "of them took no longer than `p50_seconds`, nine of ten than `p90_seconds`. `forecast` "
            "is a table of when what is in flight and what waits will be done, by company; "
            "`in_flight_p90_seconds` is by when nine of ten of all that is in flight are.",
        ),
        _report(
            COST,
            BATCHES,
            "What each day of the last 30 has cost by company, the eight that cost most and all "
            "others, beside what synchronous calls would have cost, by the UTC day of the "
            "submission. `cost_eur`, `synchronous_cost_eur` and `saved_eur` are the sums. "
            "`forecast` is a table of what the day and the month will cost, by company; "
            "`day_forecast_eur` and `month_forecast_eur` are its sums.",
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
    sources = _Sources(database)
    for key, draw in _DRAWN.items():
        if key in context.selected_asset_keys:
            with clear_failures():
                entries = draw(sources)
            yield materialized(key, entries)


class _Sources:
    """What reports are drawn from; what is coming is asked once for all of them."""

    def __init__(self, database: DatabaseResource) -> None:
        self._database = database

    @cached_property
    def data(self) -> ReportData:
        return ReportData(self._database.engine)

    @cached_property
    def forecasts(self) -> Forecasts:
        wiring = self._database.wiring
        seen = look_ahead(self._database.engine, wiring.settings.policy(), wiring.endpoints.profile)
        return foresee(seen.standing, seen.rule)

    @property
    def each_forecast(self) -> Sequence[Forecast]:
        """For all together first; none if there is nothing to say."""
        seen = self.forecasts
        return [seen.in_all, *seen.companies] if seen.companies else []


def _turnaround(sources: _Sources) -> dict[str, Any]:
    from batch_assets.assets.report_charts import turnaround_chart  # noqa: PLC0415 (see above)

    report = sources.data.turnaround(WEEK_DAYS)
    numbers = {
        "batches": report.batches,
        "p50_seconds": report.p50_seconds,
        "p90_seconds": report.p90_seconds,
        "p99_seconds": report.p99_seconds,
        "in_flight_p90_seconds": sources.forecasts.in_all.in_flight.p90_seconds,
    }
    coming = table_of([TurnaroundOutlook.of(one) for one in sources.each_forecast])
    chart = turnaround_chart(report, WEEK_DAYS)
    return _entries(TURNAROUND, numbers, chart) | {"forecast": coming}


def _cost(sources: _Sources) -> dict[str, Any]:
    from batch_assets.assets.report_charts import cost_chart  # noqa: PLC0415 (see above)

    report = sources.data.cost_by_day(MONTH_DAYS, MOST_COMPANIES)
    in_all = sources.forecasts.in_all
    numbers = {
        "cost_eur": report.cost_eur,
        "synchronous_cost_eur": report.synchronous_cost_eur,
        "saved_eur": report.saved_eur,
        "unpriced_answers": report.unpriced,
        "day_forecast_eur": in_all.day.total_eur,
        "month_forecast_eur": in_all.month.total_eur,
    }
    coming = table_of([CostOutlook.of(one) for one in sources.each_forecast])
    return _entries(COST, numbers, cost_chart(report, MONTH_DAYS)) | {"forecast": coming}


def _comparison(sources: _Sources) -> dict[str, Any]:
    from batch_assets.assets.report_charts import comparison_chart  # noqa: PLC0415 (see above)

    paces = sources.data.pace(WEEK_DAYS)
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


_DRAWN: Final[Mapping[dg.AssetKey, Callable[[_Sources], dict[str, Any]]]] = {
    TURNAROUND: _turnaround,
    COST: _cost,
    COMPARISON: _comparison,
}
