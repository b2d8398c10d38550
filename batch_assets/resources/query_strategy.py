"""Which implementation of the database operations runs."""

import dagster as dg

from batch_assets.resources.database import DatabaseResource
from batch_assets.resources.wiring import WiringResource
from batch_assets.store.protocol import Queries
from batch_assets.store.strategy import choose_queries


class QueryStrategyResource:
    """Gives the implementation of `Queries` that the settings ask for."""

    def __init__(self, wiring: WiringResource, database: DatabaseResource) -> None:
        self._wiring = wiring
        self._database = database

    @property
    def queries(self) -> Queries:
        """The operations on the database; raises what `DatabaseResource.engine` raises."""
        return choose_queries(
            self._database.engine, optimized=self._wiring.settings.optimization_enabled
        )


@dg.resource(
    config_schema={},
    required_resource_keys={"wiring", "database"},
    description="The database operations, in the implementation that is to be used.",
)
def query_strategy(context: dg.InitResourceContext) -> QueryStrategyResource:
    """On the run's database."""
    return QueryStrategyResource(context.resources.wiring, context.resources.database)
