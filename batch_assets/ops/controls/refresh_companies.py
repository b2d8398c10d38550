"""The op that lets a change of companies be seen at once."""

import dagster as dg

from batch_assets.ops import sentences
from batch_assets.ops.failures import clear_failures
from batch_assets.ops.reporting import log_of, show
from batch_assets.resources.company_lookup import CompanyLookupResource


@dg.op(out=dg.Out(int, description="How many companies are active."))
@clear_failures()
def refresh_companies(
    context: dg.OpExecutionContext, company_lookup: dg.ResourceParam[CompanyLookupResource]
) -> int:
    """Forget which companies were active, and ask the database now; for this host's next runs."""
    found = company_lookup.refresh()
    log_of(context).info(sentences.of_companies(found))
    show(context, found.numbers)
    return len(found.companies)
