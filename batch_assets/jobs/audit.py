"""The job that counts every row, and looks through what is on the server."""

import dagster as dg

from batch_assets.ops.clear_strays import clear_strays
from batch_assets.ops.conservation import audit_rows
from batch_assets.resources.run_executor import run_executor
from batch_assets.resources.run_tags import WATCHED


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
        executor_def=run_executor,
        # Its statements give up after half an hour each.
        tags={**WATCHED, "dagster/max_runtime": "7200"},
    )
