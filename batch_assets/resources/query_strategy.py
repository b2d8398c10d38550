"""Which implementation of the database operations runs."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cached_property
from typing import Final

import dagster as dg

from batch_assets.domain.metrics import QueryUse
from batch_assets.resources.database import DatabaseResource
from batch_assets.resources.wiring import WiringResource
from batch_assets.store.protocol import Queries
from batch_assets.store.strategy import (
    QueryMode,
    StoredMode,
    StoredModes,
    Strategy,
    Toggle,
    Watch,
)

FROM_ENVIRONMENT: Final = "environment"

_MODE = dg.Enum(
    "QueryMode",
    [
        dg.EnumValue(
            FROM_ENVIRONMENT,
            description="As choose_mode_job has stored it, or else as ENABLE_BATCH_OPTIMIZATION.",
        ),
        *(
            dg.EnumValue(word, description=f"Runs use {mode.meaning}.")
            for mode in QueryMode
            for word in dict.fromkeys([mode.value, mode.stored])
        ),
    ],
)


class QueryStrategyResource:
    """Opens one `Strategy` when first asked, and lets it write its history at the end."""

    def __init__(
        self,
        wiring: WiringResource,
        database: DatabaseResource,
        *,
        mode: str = FROM_ENVIRONMENT,
        run_id: str = "",
    ) -> None:
        self._wiring = wiring
        self._database = database
        self._mode = mode
        self._run_id = run_id
        self._known: Callable[[], StoredMode | None] | None = None

    @property
    def queries(self) -> Queries:
        """The operations on the database; raises what `DatabaseResource.engine` raises."""
        return self._strategy.queries

    @property
    def mode(self) -> QueryMode:
        """The mode of this run; raises the same."""
        return self._strategy.mode

    def learn_stored_mode(self, known: Callable[[], StoredMode | None]) -> None:
        """Take the stored choice from what another statement has read; before the first operation.

        Without this it is read with a statement of its own.
        """
        self._known = known

    def watch(self) -> Watch:
        """Report, later, on what the operations do from now on; raises the same."""
        return self._strategy.watch()

    def use(self) -> QueryUse:
        """What the operations did up to now; nothing if none was asked for."""
        return self._strategy.use() if self._is_open else QueryUse()

    def close(self) -> None:
        """Write what was measured."""
        if self._is_open:
            self._strategy.flush()

    @property
    def _is_open(self) -> bool:
        return "_strategy" in self.__dict__

    @cached_property
    def _strategy(self) -> Strategy:
        return Strategy(
            self._database.engine, self._toggle(), run_id=self._run_id, stored=self._stored
        )

    def _stored(self) -> StoredMode | None:
        """The choice for all runs; what was asked for in the Launchpad goes before it."""
        if self._mode != FROM_ENVIRONMENT:
            return None
        return (self._known or StoredModes(self._database.engine).read)()

    def _toggle(self) -> Toggle:
        toggle = self._wiring.settings.toggle()
        if self._mode == FROM_ENVIRONMENT:
            return toggle
        return replace(toggle, mode=QueryMode(self._mode), asked_in="the Launchpad")


@dg.resource(
    config_schema={
        "mode": dg.Field(
            _MODE,
            default_value=FROM_ENVIRONMENT,
            description='How this run works on the database; "true" and "false" need their quotes. '
            "The results are the same.",
        )
    },
    required_resource_keys={"wiring", "database"},
    description="The database operations, in the implementation that is to be used.",
)
def query_strategy(context: dg.InitResourceContext) -> Iterator[QueryStrategyResource]:
    """On the run's database, until the end of the run."""
    resource = QueryStrategyResource(
        context.resources.wiring,
        context.resources.database,
        mode=context.resource_config["mode"],
        run_id=context.run.run_id if context.run else "",
    )
    try:
        yield resource
    finally:
        resource.close()
