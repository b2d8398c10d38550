"""The rows of all companies, as counted."""

import dagster as dg

from batch_assets.ops.conservation import ASSET


def row_conservation() -> dg.AssetSpec:
    """All requests of all companies, as counted by the audit."""
    return dg.AssetSpec(
        key=ASSET,
        description=(
            "Each request of each company is in exactly one bucket (waiting, in a batch, complete, "
            "to be retried, dead letter, failed elsewhere), and the buckets add up to the rows. "
            "`audit_job` counts them once a day; each run of `batch_processing_job` looks at "
            "what is open and at what it has moved."
        ),
        group_name="batch_processing",
        owners=["team:batch-assets"],
        tags={"batch_assets/kind": "conservation"},
        kinds={"postgres"},
    )
