"""The jobs, one file a family: what a person or a schedule can start."""

from batch_assets.jobs.audit import audit_job
from batch_assets.jobs.batch_processing import batch_processing_job
from batch_assets.jobs.controls import control_jobs, refresh_companies_job
from batch_assets.jobs.exclusive import EXCLUSIVE
from batch_assets.jobs.history import prune_job, report_job

__all__ = [
    "EXCLUSIVE",
    "audit_job",
    "batch_processing_job",
    "control_jobs",
    "prune_job",
    "refresh_companies_job",
    "report_job",
]
