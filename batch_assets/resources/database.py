"""The database's engine and its pool of connections."""

from collections.abc import Iterator

import dagster as dg
from sqlalchemy import Engine

from batch_assets.resources.wiring import WiringResource
from batch_assets.store.counting import count_statements
from batch_assets.store.engine import open_engine
from batch_assets.store.migrate import require_current


class DatabaseResource:
    """Opens one engine when first asked, and closes its connections at the end of the run."""

    def __init__(self, wiring: WiringResource) -> None:
        self._wiring = wiring
        self._engine: Engine | None = None

    @property
    def engine(self) -> Engine:
        """The engine, on a database that was seen to answer and to be migrated.

        Raises `DatabaseUnavailableError`, `MigrationsMissingError` or `ConfigurationError`.
        """
        if self._engine is None:
            engine = open_engine(self._wiring.endpoints.database_url)
            count_statements(engine)
            try:
                require_current(engine)
            except BaseException:
                engine.dispose()
                raise
            self._engine = engine
        return self._engine

    def close(self) -> None:
        """Close all connections."""
        if self._engine is not None:
            self._engine.dispose()


@dg.resource(
    config_schema={},
    required_resource_keys={"wiring"},
    description="LiveDash's PostgreSQL database, with the schema batch_assets in it.",
)
def database(context: dg.InitResourceContext) -> Iterator[DatabaseResource]:
    """Open from its first use to the end of the run."""
    resource = DatabaseResource(context.resources.wiring)
    try:
        yield resource
    finally:
        resource.close()
