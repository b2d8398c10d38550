"""The assets: what is watched over time, and how it hangs together."""

from batch_assets.assets.audit import audit_rows, clear_orphans
from batch_assets.assets.declared import declared_assets
from batch_assets.assets.reports import draw_reports

__all__ = ["audit_rows", "clear_orphans", "declared_assets", "draw_reports"]
