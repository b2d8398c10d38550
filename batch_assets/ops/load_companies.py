"""The op that finds the companies whose requests may be submitted."""

import dagster as dg

from batch_assets.ops import sentences
from batch_assets.ops.failures import clear_failures
from batch_assets.ops.reporting import log_of, show
from batch_assets.resources.company_lookup import CompanyLookupResource
from batch_assets.resources.pipeline import PipelineResource


@dg.op(out=dg.Out(list[str], description="The ids of the active companies."))
@clear_failures()
def load_companies(
    context: dg.OpExecutionContext,
    company_lookup: CompanyLookupResource,
    pipeline: PipelineResource,
) -> list[str]:
    """Look up the active companies: only theirs are submitted.

    The answer may be some minutes old. The claim looks at each company again.
    """
    with pipeline.figures.timed("load"):
        found = company_lookup.active()
    pipeline.figures.note(found.use)
    log_of(context).info(sentences.of_companies(found))
    show(context, found.numbers)
    return [company.id for company in found.companies]
