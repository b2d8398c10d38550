"""The jobs: what they run, in which order, and how long it may take."""

import dagster as dg

from batch_assets.openai_batch.operations import Timeouts
from batch_assets.ops.check_batch_statuses import check_batch_statuses
from batch_assets.ops.conservation import audit_rows, check_row_conservation
from batch_assets.ops.draw_reports import draw_reports
from batch_assets.ops.evaluate_checks import evaluate_checks
from batch_assets.ops.fetch_pending_requests import fetch_pending_requests
from batch_assets.ops.ingest_results import ingest_results
from batch_assets.ops.load_companies import load_companies
from batch_assets.ops.prune_history import prune_history
from batch_assets.ops.record_metrics import record_metrics
from batch_assets.ops.refresh_companies import refresh_companies
from batch_assets.ops.retry_failed_requests import retry_failed_requests
from batch_assets.ops.submit_batches import submit_batches
from batch_assets.settings import Settings


@dg.graph
def batch_processing() -> None:
    """Two branches that share nothing, so that what was paid for is read whatever else fails.

    The first is run first: its ops have the higher priority. Whatever came of both, the last ops
    keep the run's figures, prove that no request was lost, and raise the alarm if there is reason.
    """
    retry_failed_requests(ingest_results(check_batch_statuses()))
    submit_batches(fetch_pending_requests(load_companies()))
    record_metrics()
    check_row_conservation()
    evaluate_checks()


def batch_processing_job(settings: Settings) -> dg.JobDefinition:
    """The job, in one process: starting one for each op would take longer than the ops do."""
    # An op begins nothing new after its budget, but its last call may still take its time.
    last_call_seconds = Timeouts().longest_creating_call
    most_seconds = len(batch_processing.node_defs) * settings.op_seconds + last_call_seconds
    return batch_processing.to_job(
        name="batch_processing_job",
        description="Reads finished batches, retries failures, and submits what is due.",
        executor_def=dg.in_process_executor,
        tags={
            # `dagster.yaml` lets one run with this tag start at a time.
            "batch_assets/exclusive": "batch_processing_job",
            "dagster/max_runtime": str(round(most_seconds)),
        },
    )


@dg.graph
def company_refresh() -> None:
    """What is done after a company was made active or suspended, so as not to wait."""
    refresh_companies()


def refresh_companies_job() -> dg.JobDefinition:
    """The job that lets the next run see which companies are active now."""
    return company_refresh.to_job(
        name="refresh_companies_job",
        description="Asks which companies are active, whatever earlier runs were told.",
        executor_def=dg.in_process_executor,
    )


@dg.graph
def audit() -> None:
    """One look at every row."""
    audit_rows()


def audit_job() -> dg.JobDefinition:
    """The job that counts every row of every company, and changes none."""
    return audit.to_job(
        name="audit_job",
        description="Proves over every row that each request is in exactly one bucket.",
        executor_def=dg.in_process_executor,
        # Its statements give up after half an hour each.
        tags={"dagster/max_runtime": "7200"},
    )


@dg.graph
def report() -> None:
    """What a line chart does not show."""
    draw_reports()


def report_job() -> dg.JobDefinition:
    """The job that draws pictures of the history, and changes nothing."""
    return report.to_job(
        name="report_job",
        description="Draws turnaround, cost by company, and original against optimized.",
        executor_def=dg.in_process_executor,
        tags={"dagster/max_runtime": "1800"},
    )


@dg.graph
def prune() -> None:
    """What is older than BATCH_MONITORING_RETENTION_DAYS goes."""
    prune_history()


def prune_job(settings: Settings) -> dg.JobDefinition:
    """The job that keeps the history from growing for ever."""
    return prune.to_job(
        name="prune_job",
        description="Deletes old figures, and old runs and events of Dagster's.",
        executor_def=dg.in_process_executor,
        # One statement may take five minutes after the op's time is up.
        tags={"dagster/max_runtime": str(round(settings.op_seconds + 600))},
    )
