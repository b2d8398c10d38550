"""The checks of row conservation: over what is open, and over every row."""

import dagster as dg

from batch_assets.checks.results import result_of
from batch_assets.ops.conservation import (
    ALL_ROWS,
    ASSET,
    OPEN_ROWS,
    audit_evaluation,
    evaluation,
)
from batch_assets.ops.failures import clear_failures
from batch_assets.resources.database import DatabaseResource
from batch_assets.stages import conservation
from batch_assets.store.conservation import Conservation


@dg.asset_check(
    asset=ASSET,
    name=OPEN_ROWS,
    description=(
        "Over what is open and what the run has moved: rows in a batch and attempts without an "
        "outcome are the same, failed rows have an entry, and batches' counters add up."
    ),
)
@clear_failures()
def open_rows_conserved(database: dg.ResourceParam[DatabaseResource]) -> dg.AssetCheckResult:
    """Evaluated at the end of each run of batch_processing_job; alone, over what is open."""
    look = conservation.check_open_rows(Conservation(database.engine), run_seconds=0)
    return result_of(evaluation(OPEN_ROWS, look.misfits, look.numbers))


@dg.asset_check(
    asset=ASSET,
    name=ALL_ROWS,
    description=(
        "Over every row of every company: each is in one bucket, the buckets add up to the rows, "
        "and everything fits that `open_rows_conserved` looks at."
    ),
)
@clear_failures()
def all_rows_conserved(database: dg.ResourceParam[DatabaseResource]) -> dg.AssetCheckResult:
    """Evaluated by audit_job."""
    return result_of(audit_evaluation(conservation.audit_rows(Conservation(database.engine))))
