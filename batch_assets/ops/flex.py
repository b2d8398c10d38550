"""The op that sends by flex what cannot wait: a job of its own, beside the runs of the main one."""

import dagster as dg

from batch_assets.ops import sentences
from batch_assets.ops.handing_on import STATE, HandedOn, carry_out
from batch_assets.ops.reporting import add_metadata, log_of, metadata_of
from batch_assets.resources.connections import DatabaseResource
from batch_assets.resources.pipeline import PipelineResource, StageRun
from batch_assets.stages import metrics
from batch_assets.stages.flex import send_by_flex
from batch_assets.stages.run_state import RunState
from batch_assets.store.metrics import Metrics


@dg.op(out=STATE)
def send_flex_requests(
    context: dg.OpExecutionContext, pipeline: PipelineResource, database: DatabaseResource
) -> HandedOn:
    """Send by flex what an operator has asked for, and what the next batch would bring too late.

    A run that has sent anything keeps its row in `run_metric`: what its answers have cost is in no
    other one.
    """

    def work(stage: StageRun) -> None:
        watch = pipeline.watch_queries()
        with stage.timed():
            seen = stage.snapshot = pipeline.read_snapshot()
            report = send_by_flex(pipeline.pipeline, seen, pipeline.budget())
        log_of(context).info(sentences.of_flex(report))
        add_metadata(context, metadata_of(report), watch)
        if report.synchronous_batches:
            run = RunState([stage.state()])
            metrics.record_metrics(
                Metrics(database.engine),
                run,
                run_id=pipeline.run_id,
                mode=pipeline.query_mode,
                account=pipeline.account,
                account_name=pipeline.account_name,
                is_alone=False,
            )

    yield from carry_out(context, pipeline, work)
