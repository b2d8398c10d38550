"""The assets of the figures that runs record, as far as their checks need them to be declared."""

import dagster as dg

from batch_assets.domain.metrics import GROUPS


def figure_assets() -> list[dg.AssetSpec]:
    """An asset for each group of figures."""
    return [
        dg.AssetSpec(name, description=group.__doc__, group_name="batch_processing")
        for name, group in GROUPS.items()
    ]
