"""The asset checks: each can be asked in the UI, and jobs evaluate it in their runs."""

from batch_assets.checks.alerts import alerts
from batch_assets.checks.conservation import all_rows_conserved, open_rows_conserved

__all__ = ["alerts", "all_rows_conserved", "open_rows_conserved"]
