"""Which companies are active, for the ops of a run."""

from collections.abc import Callable, Iterable
from functools import cached_property

import dagster as dg

from batch_assets.domain.records import Company
from batch_assets.resources.company_cache import ActiveCompanies, CompanyCache
from batch_assets.resources.company_file import CompanyFile
from batch_assets.resources.connections import WiringResource
from batch_assets.resources.query_strategy import QueryStrategyResource
from batch_assets.settings import Settings
from batch_assets.wiring import Endpoints


class CompanyLookupResource(dg.ConfigurableResource[None]):
    # The Launchpad shows its docstring. How long an answer lives, how stale it can be and for whom
    # stands in `resources.company_cache`; both methods raise what `DatabaseResource.engine` raises.
    """The companies that are active; an answer is shared by the runs of a host."""

    wiring: dg.ResourceDependency[WiringResource]
    query_strategy: dg.ResourceDependency[QueryStrategyResource]

    def active(self) -> ActiveCompanies:
        """The companies that are active, by an answer that is younger than its lifetime."""
        return self._cache.active()

    def refresh(self) -> ActiveCompanies:
        """The companies that are active now, for this run and those that come; see the cache."""
        return self._cache.refresh()

    @cached_property
    def _cache(self) -> CompanyCache:
        return shared_cache(
            self.wiring.endpoints,
            self.wiring.settings,
            self._ask,
            warn=dg.get_dagster_logger().warning,
        )

    def _ask(self) -> list[Company]:
        return self.query_strategy.queries.active_companies()


def shared_cache(
    endpoints: Endpoints,
    settings: Settings,
    ask: Callable[[], Iterable[Company]],
    *,
    warn: Callable[[str], object],
) -> CompanyCache:
    """What all processes of this host share of the database that `endpoints` lead to."""
    return CompanyCache(
        CompanyFile(endpoints.cache_dir, endpoints.database_url),
        ask,
        lifetime_seconds=settings.company_cache_seconds,
        warn=warn,
    )
