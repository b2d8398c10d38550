"""The job that counts every row."""

import dagster as dg

from batch_assets.ops.conservation import audit_rows


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
