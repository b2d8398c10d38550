"""Which companies are active."""

from dataclasses import dataclass

import dagster as dg

from batch_assets.domain.records import Company
from batch_assets.resources.query_strategy import QueryStrategyResource


@dataclass(frozen=True, slots=True)
class ActiveCompanies:
    """The active companies, by id, and how they were come by."""

    companies: tuple[Company, ...]
    hits: int
    """Answers that were given without a query."""
    misses: int
    """Answers that took a query."""
    age_seconds: float
    """How old the answer is."""


class CompanyLookupResource:
    """Asks the database each time. An answer is for the run that asked for it."""

    def __init__(self, strategy: QueryStrategyResource) -> None:
        self._strategy = strategy

    def active(self) -> ActiveCompanies:
        """The companies that are active now; raises what `DatabaseResource.engine` raises."""
        companies = tuple(self._strategy.queries.active_companies())
        return ActiveCompanies(companies, hits=0, misses=1, age_seconds=0.0)


@dg.resource(
    config_schema={},
    required_resource_keys={"query_strategy"},
    description="The companies that are active.",
)
def company_lookup(context: dg.InitResourceContext) -> CompanyLookupResource:
    """On the run's query strategy."""
    return CompanyLookupResource(context.resources.query_strategy)
