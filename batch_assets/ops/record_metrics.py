"""The op that keeps the figures of a run, and reports them on the assets that plot them."""

from collections.abc import Iterable, Mapping

import dagster as dg

from batch_assets.domain.run_end import CompanyBacklog
from batch_assets.ops.handing_on import SUMMARY, Value, carry_on
from batch_assets.ops.reporting import materialize
from batch_assets.resources.connections import DatabaseResource
from batch_assets.resources.pipeline import PipelineResource, StageRun
from batch_assets.stages import metrics
from batch_assets.stages.run_state import RunState
from batch_assets.store.metrics import Metrics

_COMPANIES = dg.TableSchema(
    columns=[
        dg.TableColumn("company"),
        dg.TableColumn("oldest_wait_seconds", "int"),
        dg.TableColumn("waiting_requests", "int"),
        dg.TableColumn("requests_in_batches", "int"),
        dg.TableColumn("retry_requests", "int"),
        dg.TableColumn("dead_letters", "int"),
        dg.TableColumn("day_cost_eur", "float", description="Since midnight UTC."),
        dg.TableColumn("company_id"),
    ]
)


@dg.op(out=SUMMARY)
def record_metrics(
    context: dg.OpExecutionContext,
    stages: list[Value],
    database: DatabaseResource,
    pipeline: PipelineResource,
) -> Value:
    """Keep what the run did and how things stand after it: a row in `run_metric`, seven assets.

    Also after stages that have failed: they have handed on what they had done by then.
    """
    run = RunState.of_values(stages)

    def work(_stage: StageRun) -> None:
        end = metrics.record_metrics(
            Metrics(database.engine), run, run_id=pipeline.run_id, mode=pipeline.query_mode
        )
        for name, figures in end.metrics.groups():
            entries = plotted(figures)
            if name == "backlog":
                entries["companies"] = companies_table(end.companies)
            materialize(context, name, entries)

    return carry_on(context, pipeline, run.summary(), work)


def plotted(figures: Mapping[str, float | None]) -> dict[str, dg.MetadataValue]:
    """Figures as metadata; one that is not known is left out, which makes a gap in its plot."""
    return {
        key: dg.MetadataValue.int(figure)
        if isinstance(figure, int)
        else dg.MetadataValue.float(figure)
        for key, figure in figures.items()
        if figure is not None
    }


def companies_table(companies: Iterable[CompanyBacklog]) -> dg.TableMetadataValue:
    """The companies that are furthest behind, as a table that the Catalog shows."""
    records = [
        dg.TableRecord(
            {
                "company": one.company,
                "oldest_wait_seconds": round(one.oldest_wait_seconds),
                "waiting_requests": one.waiting_requests,
                "requests_in_batches": one.requests_in_batches,
                "retry_requests": one.retry_requests,
                "dead_letters": one.dead_letters,
                "day_cost_eur": round(one.day_cost_eur, 6),
                "company_id": one.company_id,
            }
        )
        for one in companies
    ]
    return dg.MetadataValue.table(records, schema=_COMPANIES)
