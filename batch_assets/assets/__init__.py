"""The assets: what is watched over time. Nothing is made here; ops report on them."""

import dagster as dg

from batch_assets.assets.conservation import row_conservation
from batch_assets.assets.metrics import run_metrics
from batch_assets.assets.reports import reports

__all__ = ["declared_assets", "row_conservation"]


def declared_assets() -> list[dg.AssetSpec]:
    """Every asset that ops report on: only what is declared is plotted."""
    return [row_conservation(), *run_metrics(), *reports()]
