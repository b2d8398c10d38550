"""The schedules: when the jobs run by themselves, and when a tick is skipped."""

from batch_assets.schedules.batch_processing import batch_processing_schedule
from batch_assets.schedules.upkeep import audit_schedule, prune_schedule, report_schedule

__all__ = ["audit_schedule", "batch_processing_schedule", "prune_schedule", "report_schedule"]
