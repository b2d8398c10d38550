"""The assets: what is watched over time. Nothing is made here; ops report on them."""

from dataclasses import fields
from typing import Any, Final

import dagster as dg

from batch_assets.domain.metrics import GROUPS, figure_types
from batch_assets.ops.conservation import ASSET
from batch_assets.ops.draw_reports import COMPARISON, COST, TURNAROUND

_OWNERS: Final = ["team:batch-assets"]
_TABLES: Final = {"backlog": "`companies` is a table of the 50 companies that are furthest behind."}
_REPORTS: Final = {
    TURNAROUND: (
        "How long our batches of the last seven days took on the server: how many took how long, "
        "and which part of them took no longer. `batches` is how many there were; half of them "
        "took no longer than `p50_seconds`, nine of ten than `p90_seconds`."
    ),
    COST: (
        "What each day of the last 30 has cost by company, the eight that cost most and all "
        "others, beside what live calls would have cost; days are UTC. `cost_eur`, `live_cost_eur` "
        "and `saved_eur` are the sums."
    ),
    COMPARISON: (
        "Seconds a call of each database operation in the original and in the optimized "
        "implementation, over the last seven days, on a logarithmic scale. `operations` is how "
        "many were measured, `operations_with_both` for how many both were."
    ),
}


def declared_assets() -> list[dg.AssetSpec]:
    """Declare every asset that ops report on: only what is declared is plotted."""
    metrics = [_metrics(name, group) for name, group in GROUPS.items()]
    return [row_conservation(), *metrics, *_reports()]


def row_conservation() -> dg.AssetSpec:
    """Declare the counts of all requests of all companies, as made by the audit."""
    return dg.AssetSpec(
        key=ASSET,
        description=(
            "Each request of each company is in exactly one bucket (waiting, in a batch, complete, "
            "to be retried, dead letter, failed elsewhere), and the buckets add up to the rows. "
            "`audit_job` counts them once a day; each run of `batch_processing_job` looks at "
            "what is open and at what it has moved."
        ),
        group_name="batch_processing",
        owners=_OWNERS,
        tags={"batch_assets/kind": "conservation"},
        kinds={"postgres"},
    )


def _metrics(name: str, group: type[Any]) -> dg.AssetSpec:
    """One asset for a group of metrics; every run gives all of its keys, zeros too."""
    return dg.AssetSpec(
        key=name,
        description=_description(name, group),
        group_name="metrics",
        owners=_OWNERS,
        tags={"batch_assets/kind": "metrics"},
        kinds={"postgres"},
        metadata={"dagster/table_name": "batch_assets.run_metric"},
    )


def _description(name: str, group: type[Any]) -> str:
    """What the asset is and what each key means, as Markdown."""
    types = figure_types()
    rows = [f"| `{one.name}` | {types[one.name].meaning}. |" for one in fields(group)]
    sentences = [
        str(group.__doc__),
        _TABLES.get(name, ""),
        "Each run of `batch_processing_job` gives every key, with its unit at the end of its name; "
        "what a run cannot know is left out. The same are columns of `batch_assets.run_metric`.",
    ]
    said = " ".join(filter(None, sentences))
    return "\n".join([said, "", "| key | meaning |", "|---|---|", *rows])


def _reports() -> list[dg.AssetSpec]:
    """One asset a chart, which `report_job` draws: `picture` is Markdown that shows it."""
    return [
        dg.AssetSpec(
            key=key,
            description=f"{description} Made once an hour by `report_job`.",
            group_name="reports",
            owners=_OWNERS,
            tags={"batch_assets/kind": "report"},
            kinds={"postgres", "matplotlib"},
        )
        for key, description in _REPORTS.items()
    ]
