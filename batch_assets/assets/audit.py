"""What `audit_job` materializes: a count of every row, and a server cleared of what is no use."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

import dagster as dg

from batch_assets.assets.declared import BATCHES, OWNERS, REQUESTS
from batch_assets.domain.conservation import BUCKETS, Audit, CompanyRows
from batch_assets.domain.display import plural
from batch_assets.ops.check_results import ALL_ROWS, ASSET, conservation_evaluation
from batch_assets.ops.failures import clear_failures
from batch_assets.ops.reporting import (
    checked,
    log_of,
    materialized,
    metadata_of,
    plotted,
    queries_since,
)
from batch_assets.resources.connections import DatabaseResource
from batch_assets.resources.pipeline import PipelineResource
from batch_assets.stages.abandoned import read_abandoned
from batch_assets.stages.orphans import find_orphans
from batch_assets.store.conservation import Conservation
from batch_assets.store.daily_costs import DailyCosts

SERVER_ORPHANS = dg.AssetKey("server_orphans")
_PLOTTED_ROWS: Final = ("rows", "waiting", "in_batch", "complete", "dead", "failed_elsewhere")
_PLOTTED_ORPHANS: Final = ("duplicates", "orphans_deleted", "unknown", "wasted_abandoned_eur")


@dg.multi_asset(
    name="audit_rows",
    description=(
        "Count every request of every company by bucket, keep what days have cost that are over, "
        "and look whether everything fits and adds up."
    ),
    specs=[
        dg.AssetSpec(
            key=ASSET,
            deps=[REQUESTS, BATCHES],
            description=(
                "Each request of each company is in exactly one bucket (waiting, in a batch, "
                "complete, to be retried, dead letter, failed elsewhere), and the buckets add up "
                "to the rows. `audit_job` counts them once a day; each run of "
                "`batch_processing_job` looks at what is open and at what it has moved."
            ),
            group_name="batch_processing",
            owners=OWNERS,
            tags={"batch_assets/kind": "conservation"},
            kinds={"postgres"},
        )
    ],
    check_specs=[
        dg.AssetCheckSpec(
            ALL_ROWS,
            asset=ASSET,
            description=(
                "Over every row of every company: each is in one bucket, the buckets add up to the "
                "rows, everything fits that `open_rows_conserved` looks at, and money comes to the "
                "same by attempt, batch, run, day and LiveDash's row."
            ),
        )
    ],
    can_subset=True,
)
def audit_rows(
    context: dg.AssetExecutionContext, database: DatabaseResource
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """Count once, for the asset and its check or for one of them.

    No row of a request is changed; what days have cost that are over is kept as sums first.
    """
    with clear_failures():
        kept_days = DailyCosts(database.engine).keep()
        audit = Conservation(database.engine).all_rows()
    log_of(context).info(
        "Kept the cost of %s as sums, and counted %s of %s.",
        plural(kept_days, "day"),
        plural(audit.rows, "request"),
        plural(len(audit.companies), "company", "companies"),
    )
    if ASSET in context.selected_asset_keys:
        numbers = plotted(audit.numbers, _PLOTTED_ROWS)
        yield materialized(ASSET, {**numbers, "companies": _buckets_table(audit)})
    if context.selected_asset_check_keys:
        yield checked(_evaluation(audit))


@dg.multi_asset(
    name="clear_orphans",
    description=(
        "Cancel second batches of one intent, delete input files that no batch uses, and read what "
        "abandoned batches have brought."
    ),
    specs=[
        dg.AssetSpec(
            key=SERVER_ORPHANS,
            deps=[BATCHES],
            description=(
                "What was found on the server under our name and belongs to no batch that is gone "
                "on with: second batches of one intent, which are cancelled, and files that no "
                "batch uses, which are deleted. What carries the id of a batch that this database "
                "does not know is counted, and left alone."
            ),
            group_name="batch_processing",
            owners=OWNERS,
            tags={"batch_assets/kind": "server"},
            kinds={"openai"},
        )
    ],
)
def clear_orphans(
    context: dg.AssetExecutionContext, pipeline: PipelineResource
) -> dg.MaterializeResult[None]:
    """Look once at everything that the server lists."""
    with clear_failures():
        watch = pipeline.watch_queries()
        numbers: Counter[str] = Counter()
        for name in pipeline.account_names:
            its = pipeline.pipeline_of(name)
            report = find_orphans(its, pipeline.read_snapshot(name))
            late = read_abandoned(
                its, pipeline.read_snapshot(name), pipeline.budget(), whenever=True
            )
            numbers.update(metadata_of(report) | metadata_of(late))
        queries = queries_since(context, watch)
    found = dict(numbers) | queries
    return materialized(SERVER_ORPHANS, plotted(found, _PLOTTED_ORPHANS))


def _evaluation(audit: Audit) -> dg.AssetCheckEvaluation:
    """What the check over every row says."""
    return conservation_evaluation(
        ALL_ROWS, audit.look.violations, audit.numbers, adds_up=audit.adds_up, costs=audit.costs
    )


def _buckets_table(audit: Audit) -> dg.TableMetadataValue:
    """Company by bucket, with the sums in the last row."""
    columns = ["company_id", "company", *BUCKETS, "rows", "adds_up"]
    schema = dg.TableSchema(
        columns=[
            dg.TableColumn(name, "int" if name in {*BUCKETS, "rows"} else "string")
            for name in columns
        ]
    )
    records = [_record(company) for company in [*audit.companies, audit.totals]]
    return dg.MetadataValue.table(records, schema=schema)


def _record(company: CompanyRows) -> dg.TableRecord:
    buckets = {name: getattr(company, name) for name in BUCKETS}
    return dg.TableRecord(
        {
            "company_id": company.company_id,
            "company": company.name,
            **buckets,
            "rows": company.rows,
            "adds_up": "yes" if company.in_buckets == company.rows else "no",
        }
    )
