"""The op that sends what is due."""

import dagster as dg

from batch_assets.domain.errors import SubmissionHeldError
from batch_assets.domain.wording import of_unknown_types
from batch_assets.ops import sentences
from batch_assets.ops.failures import clear_failures
from batch_assets.ops.reporting import (
    add_metadata,
    log_failed_companies,
    log_of,
    metadata_of,
    named,
)
from batch_assets.resources.company_lookup import CompanyLookupResource
from batch_assets.resources.pipeline import PipelineResource
from batch_assets.stages.submit import SubmitReport, submit_due


@dg.op(out=dg.Out(int, description="How many batches were submitted."))
@clear_failures()
def submit_batches(
    context: dg.OpExecutionContext,
    due_company_ids: list[str],
    pipeline: PipelineResource,
    company_lookup: CompanyLookupResource,
) -> int:
    """Claim the due requests into batches, and upload and create these.

    While an operator has not allowed submissions from this database, the requests just wait.
    """
    watch = pipeline.watch_queries()
    held_because = ""
    try:
        with pipeline.figures.timed("submit"):
            report = submit_due(pipeline.pipeline, due_company_ids, pipeline.budget())
    except SubmissionHeldError as error:
        held_because, report = str(error), SubmitReport()
        log_of(context).warning(held_because)
    log_failed_companies(context, report.failed, company_lookup.names)
    log_of(context).info(sentences.of_sending(report, held_because))
    if report.unknown_types:
        log_of(context).warning(of_unknown_types(report.unknown_types))
    report.batches_sent = named(report.batches_sent, company_lookup.names)
    add_metadata(context, metadata_of(report) | {"held_because": held_because}, watch)
    return report.batches
