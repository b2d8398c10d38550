"""The jobs, one file a family: what a person or a schedule can start."""

from batch_assets.jobs.batch_processing import batch_processing_job
from batch_assets.jobs.controls import control_jobs, refresh_companies_job
from batch_assets.jobs.maintenance import audit_job, prune_job, report_job

__all__ = [
    "audit_job",
    "batch_processing_job",
    "control_jobs",
    "prune_job",
    "refresh_companies_job",
    "report_job",
]
