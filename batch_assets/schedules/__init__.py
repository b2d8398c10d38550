"""The schedules: when the jobs run by themselves, and when a tick is skipped."""

from batch_assets.schedules.audit import audit_schedule
from batch_assets.schedules.batch_processing import batch_processing_schedule

__all__ = ["audit_schedule", "batch_processing_schedule"]
