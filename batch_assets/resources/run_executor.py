"""How jobs of ours execute: by any executor of Dagster's, whose process lets others see it lives.

Nothing of a run is kept in a process's memory, so its ops may run in one process, in one each, or
on other hosts. One process is the default, since starting one for each op takes longer than the ops
do.
"""

from collections.abc import Iterator
from typing import Any, Final

import dagster as dg

from batch_assets.domain.errors import BatchAssetsError
from batch_assets.resources.heartbeat import beating
from batch_assets.resources.run_tags import WATCHED, first_process_of, tags_of
from batch_assets.resources.this_process import this_process


class WatchedExecutor(dg.Executor):
    """An executor whose own process has a heartbeat for as long as it executes."""

    def __init__(self, inner: dg.Executor) -> None:
        self._inner = inner

    @property
    def retries(self) -> Any:
        """As the executor within has them."""
        return self._inner.retries

    @property
    def step_dependency_config(self) -> Any:
        """As the executor within has it."""
        return self._inner.step_dependency_config

    def execute(self, plan_context: Any, execution_plan: Any) -> Iterator[Any]:
        """Execute as the executor within does."""
        run, here = plan_context.dagster_run, this_process()
        first = first_process_of(run)
        if first is None or first.name != here:
            # The first beat is some seconds away.
            tags = {**WATCHED, **tags_of(here, run.run_id)}
            plan_context.instance.add_run_tags(run.run_id, tags)
        with beating(run.run_id):
            yield from self._inner.execute(plan_context, execution_plan)


def watched(executor: dg.ExecutorDefinition) -> dg.ExecutorDefinition:
    """The same executor, whose own process has a heartbeat for as long as it executes.

    Raises:
        BatchAssetsError: It cannot be made by itself, so that nobody would see that a run lives.
    """
    make = executor.executor_creation_fn
    if make is None:
        raise BatchAssetsError(
            f"The executor {executor.name} is not supported: it is made by no function of its own. "
            "Take in_process_executor, multiprocess_executor or another one with "
            "an executor_creation_fn."
        )
    return dg.ExecutorDefinition(
        name=executor.name,
        config_schema=executor.config_schema,  # type: ignore[arg-type]
        requirements=executor.get_requirements,
        executor_creation_fn=lambda context: WatchedExecutor(make(context)),
        description=f"{executor.description or executor.name} Its process has a heartbeat.",
    )


run_executor: Final = watched(dg.in_process_executor)
"""All ops in one process: starting one for each would take longer than the ops do."""
