"""The job that does the work: what it runs, in which order, and how long it may take."""

import dagster as dg

from batch_assets.openai_batch.operations import Timeouts
from batch_assets.ops.closing import check_row_conservation, evaluate_checks, record_metrics
from batch_assets.ops.main_path import (
    check_batch_statuses,
    fetch_pending_requests,
    ingest_results,
    load_companies,
    retry_failed_requests,
    submit_batches,
)
from batch_assets.resources.run_executor import run_executor, watched
from batch_assets.resources.run_tags import EXCLUSIVE, WATCHED
from batch_assets.settings import Settings


@dg.graph
def batch_processing() -> None:
    """Two branches that share nothing, so that what was paid for is read whatever else fails.

    The first is run first: its ops have the higher priority. Whatever came of both, the last ops
    keep the run's metrics, prove that no request was lost, and raise the alarm if there is reason.
    What has failed is handed on to them as a value, and the last one fails the run.
    """
    checked = check_batch_statuses()
    ingested = ingest_results(checked)
    retried = retry_failed_requests(ingested)
    loaded = load_companies()
    fetched = fetch_pending_requests(loaded)
    submitted = submit_batches(fetched)
    recorded = record_metrics([checked, ingested, retried, loaded, fetched, submitted])
    evaluate_checks(check_row_conservation(recorded))


def batch_processing_job(
    settings: Settings, executor: dg.ExecutorDefinition | None = None
) -> dg.JobDefinition:
    """The job, in one process unless an executor is given.

    Raises:
        BatchAssetsError: The executor is not supported: see `resources.run_executor`.
    """
    # An op begins nothing new after its budget, but its last call may still take its time.
    last_call_seconds = Timeouts().longest_creating_call
    most_seconds = len(batch_processing.node_defs) * settings.op_seconds + last_call_seconds
    return batch_processing.to_job(
        name="batch_processing_job",
        description="Reads finished batches, retries failures, and submits what is due.",
        executor_def=run_executor if executor is None else watched(executor),
        tags={
            **EXCLUSIVE,
            **WATCHED,
            "dagster/max_runtime": str(round(most_seconds)),
        },
    )
