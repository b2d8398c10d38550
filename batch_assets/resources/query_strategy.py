"""Which implementation of the database operations runs."""

import dagster as dg

from batch_assets.resources.database import DatabaseResource
from batch_assets.store.original import OriginalQueries
from batch_assets.store.protocol import Queries


class QueryStrategyResource:
    """Gives the implementation of `Queries`: the original one."""

    def __init__(self, database: DatabaseResource) -> None:
        self._database = database

    @property
    def queries(self) -> Queries:
        """The operations on the database; raises what `DatabaseResource.engine` raises."""
        return OriginalQueries(self._database.engine)


@dg.resource(
    config_schema={},
    required_resource_keys={"database"},
    description="The database operations, in the implementation that is to be used.",
)
def query_strategy(context: dg.InitResourceContext) -> QueryStrategyResource:
    """On the run's database."""
    return QueryStrategyResource(context.resources.database)
