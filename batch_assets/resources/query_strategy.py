"""Which implementation of the database operations runs."""

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import Final, Literal

import dagster as dg
from pydantic import Field, PrivateAttr

from batch_assets.domain.metrics import QueryUse
from batch_assets.resources.connections import DatabaseResource, WiringResource
from batch_assets.store.protocol import Queries
from batch_assets.store.strategy import (
    QueryMode,
    StoredMode,
    StoredModes,
    Strategy,
    Toggle,
    Watch,
)

Mode = Literal["environment", "true", "auto", "false", "original", "optimized"]
"""The words for a mode where it is asked for in Dagster's UI."""

FROM_ENVIRONMENT: Final = "environment"
_MODES: Final = "\n".join(
    [
        'How this run works on the database; "true" and "false" need their quotes. The results are '
        "the same.",
        "",
        f"- `{FROM_ENVIRONMENT}`: as choose_mode_job has stored it, or else as "
        "ENABLE_BATCH_OPTIMIZATION.",
        *(
            f"- {' or '.join(f'`{word}`' for word in dict.fromkeys([mode.value, mode.stored]))}: "
            f"{mode.meaning}."
            for mode in QueryMode
        ),
    ]
)


class QueryStrategyResource(dg.ConfigurableResource[None]):
    """The database operations, in the implementation that is to be used.

    One `Strategy`, from its first use to the end of the run, when it writes its history.
    """

    wiring: dg.ResourceDependency[WiringResource]
    database: dg.ResourceDependency[DatabaseResource]
    mode: Mode = Field(default=FROM_ENVIRONMENT, description=_MODES)

    _run_id: str = PrivateAttr(default="")
    _known: Callable[[], StoredMode | None] | None = PrivateAttr(default=None)

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Know for which run the history is written."""
        self._run_id = context.run.run_id if context.run else ""

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:  # noqa: ARG002
        """Write what was measured."""
        if self._is_open:
            self._strategy.flush()

    @property
    def queries(self) -> Queries:
        """The operations on the database; raises what `DatabaseResource.engine` raises."""
        return self._strategy.queries

    @property
    def mode_of_run(self) -> QueryMode:
        """The mode that this run works in; raises the same."""
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

    @property
    def _is_open(self) -> bool:
        return "_strategy" in self.__dict__

    @cached_property
    def _strategy(self) -> Strategy:
        return Strategy(
            self.database.engine, self._toggle(), run_id=self._run_id, stored=self._stored
        )

    def _stored(self) -> StoredMode | None:
        """The choice for all runs; what was asked for in the Launchpad goes before it."""
        if self.mode != FROM_ENVIRONMENT:
            return None
        return (self._known or StoredModes(self.database.engine).read)()

    def _toggle(self) -> Toggle:
        toggle = self.wiring.settings.toggle()
        if self.mode == FROM_ENVIRONMENT:
            return toggle
        return replace(toggle, mode=QueryMode(self.mode), asked_in="the Launchpad")
