"""The op that puts original and optimized beside each other on the live data."""

import dagster as dg
from pydantic import Field

from batch_assets.ops.failures import clear_failures
from batch_assets.ops.reporting import log_of, show, tag_run
from batch_assets.resources.database import DatabaseResource
from batch_assets.stages.controls.query_mode import compare_queries
from batch_assets.store.strategy import Compared, CompareLimits

_DEFAULTS = CompareLimits()
_SCHEMA = dg.TableSchema(
    columns=[
        dg.TableColumn("operation"),
        dg.TableColumn("result", description="Whether both gave the same rows."),
        dg.TableColumn("rows", "int"),
        dg.TableColumn("original_statements", "int"),
        dg.TableColumn("optimized_statements", "int"),
        dg.TableColumn("original_seconds", "float"),
        dg.TableColumn("optimized_seconds", "float"),
        dg.TableColumn("ratio", "float", description="The original's time by the optimized one's."),
    ]
)


class CompareConfig(dg.Config):
    """What a comparison may cost."""

    seconds: float = Field(
        default=_DEFAULTS.seconds,
        description="A call that takes longer is cancelled on the server: 0.1 to 60 seconds.",
    )
    companies: int = Field(
        default=_DEFAULTS.companies,
        description="For how many active companies is asked what waits: 1 to 100,000.",
    )
    batches: int = Field(
        default=_DEFAULTS.batches,
        description="Of how many of the newest batches rows are read: 1 to 1,000.",
    )
    rows: int = Field(
        default=_DEFAULTS.rows, description="How many of their rows at most: 1 to 100,000."
    )


@dg.op(out=dg.Out(int, description="How many operations gave different rows."))
@clear_failures()
def compare_implementations(
    context: dg.OpExecutionContext,
    config: CompareConfig,
    database: dg.ResourceParam[DatabaseResource],
) -> int:
    """Let both do each operation that only reads, and compare rows, statements and seconds.

    Nothing is written: the session refuses it. Only what the table shows is kept, no conversation.
    """
    limits = CompareLimits(config.seconds, config.companies, config.batches, config.rows)
    report = compare_queries(database.engine, limits, str)
    for one in report.different:
        log_of(context).error(
            "%s gives %d different rows: choose the mode false (choose_mode_job), and report it.",
            one.operation,
            one.different_rows,
        )
    log_of(context).info(report.sentence)
    show(
        context,
        {
            "compared": dg.MetadataValue.table([_record(one) for one in report.compared], _SCHEMA),
            "different": len(report.different),
            **report.totals,
        },
    )
    tag_run(context, {"different": len(report.different)})
    return len(report.different)


def _record(one: Compared) -> dg.TableRecord:
    return dg.TableRecord(
        {
            "operation": one.operation,
            "result": f"{one.verdict} (one statement in both)"
            if one.is_shared
            else one.verdict.value,
            "rows": one.rows,
            "original_statements": one.original_statements,
            "optimized_statements": one.optimized_statements,
            "original_seconds": round(one.original_seconds, 6),
            "optimized_seconds": round(one.optimized_seconds, 6),
            "ratio": None if one.ratio is None else round(one.ratio, 2),
        }
    )
