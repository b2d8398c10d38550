"""Pictures of what a line chart does not show; `report_job` makes them."""

from typing import Final

import dagster as dg

from batch_assets.ops.draw_reports import COMPARISON, COST, TURNAROUND

_DESCRIPTIONS: Final = {
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


def reports() -> list[dg.AssetSpec]:
    """One asset a picture: `picture` is Markdown that shows it."""
    return [
        dg.AssetSpec(
            key=key,
            description=f"{description} Made once an hour by `report_job`.",
            group_name="reports",
            owners=["team:batch-assets"],
            tags={"batch_assets/kind": "report"},
            kinds={"postgres", "matplotlib"},
        )
        for key, description in _DESCRIPTIONS.items()
    ]
