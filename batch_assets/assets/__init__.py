"""The assets: what is watched over time, and how it hangs together."""

from batch_assets.assets.declared import declared_assets
from batch_assets.assets.reports import draw_reports

__all__ = ["declared_assets", "draw_reports"]
