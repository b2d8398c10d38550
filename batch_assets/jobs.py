"""The jobs: what they run, in which order, and how long it may take."""

import dagster as dg

from batch_assets.openai_batch.operations import Timeouts
from batch_assets.ops.check_batch_statuses import check_batch_statuses
from batch_assets.ops.clear_strays import clear_strays
from batch_assets.ops.conservation import audit_rows, check_row_conservation
from batch_assets.ops.fetch_pending_requests import fetch_pending_requests
from batch_assets.ops.ingest_results import ingest_results
from batch_assets.ops.load_companies import load_companies
from batch_assets.ops.refresh_companies import refresh_companies
from batch_assets.ops.retry_failed_requests import retry_failed_requests
from batch_assets.ops.submit_batches import submit_batches
from batch_assets.settings import Settings


@dg.graph
def batch_processing() -> None:
    """Two branches that share nothing, so that what was paid for is read whatever else fails.

    The first is run first: its ops have the higher priority. Whatever came of both, the last op
    proves that no request was lost.
    """
    retry_failed_requests(ingest_results(check_batch_statuses()))
    submit_batches(fetch_pending_requests(load_companies()))
    check_row_conservation()


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
    """One look at every row, and one at what is on the server; neither needs the other."""
    audit_rows()
    clear_strays()


def audit_job() -> dg.JobDefinition:
    """The job that counts every row of every company, changing none, and looks for strays."""
    return audit.to_job(
        name="audit_job",
        description=(
            "Proves over every row that each request is in exactly one bucket, and clears the "
            "server of batches and files of ours that nothing needs."
        ),
        executor_def=dg.in_process_executor,
        # Its statements give up after half an hour each.
        tags={"dagster/max_runtime": "7200"},
    )
