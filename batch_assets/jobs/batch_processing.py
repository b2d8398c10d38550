"""The job that does the work: what it runs, in which order, and how long it may take."""

import dagster as dg

from batch_assets.openai_batch.operations import Timeouts
from batch_assets.ops.check_batch_statuses import check_batch_statuses
from batch_assets.ops.conservation import check_row_conservation
from batch_assets.ops.evaluate_checks import evaluate_checks
from batch_assets.ops.fetch_pending_requests import fetch_pending_requests
from batch_assets.ops.ingest_results import ingest_results
from batch_assets.ops.load_companies import load_companies
from batch_assets.ops.record_metrics import record_metrics
from batch_assets.ops.retry_failed_requests import retry_failed_requests
from batch_assets.ops.submit_batches import submit_batches
from batch_assets.resources.run_executor import run_executor
from batch_assets.resources.run_tags import EXCLUSIVE, WATCHED
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
        executor_def=run_executor,
        tags={
            **EXCLUSIVE,
            **WATCHED,
            "dagster/max_runtime": str(round(most_seconds)),
        },
    )
