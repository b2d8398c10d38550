"""The op that finds the companies whose requests may be submitted."""

import dagster as dg

from batch_assets.ops import sentences
from batch_assets.ops.failures import clear_failures
from batch_assets.resources.company_lookup import CompanyLookupResource


@dg.op(out=dg.Out(list[str], description="The ids of the active companies."))
@clear_failures()
def load_companies(
    context: dg.OpExecutionContext, company_lookup: dg.ResourceParam[CompanyLookupResource]
) -> list[str]:
    """Look up the active companies: only theirs are submitted.

    The answer may be some minutes old. The claim looks at each company again.
    """
    found = company_lookup.active()
    context.log.info(sentences.of_companies(found))
    context.add_output_metadata(found.numbers)
    return [company.id for company in found.companies]
