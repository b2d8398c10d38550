"""How every job of ours executes: in one process, which lets others see that it lives."""

from collections.abc import Iterator
from typing import Any, Final

import dagster as dg

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


def _watched_in_process(context: dg.InitExecutorContext) -> WatchedExecutor:
    make = dg.in_process_executor.executor_creation_fn
    if make is None:
        raise TypeError("Dagster's executor within cannot be made by itself.")
    return WatchedExecutor(make(context))


run_executor: Final = dg.ExecutorDefinition(
    name="in_process",
    config_schema=dg.in_process_executor.config_schema,  # type: ignore[arg-type]
    executor_creation_fn=_watched_in_process,
    description="Executes all ops in one process, which has a heartbeat.",
)
"""Starting a process for each op would take longer than the ops do."""
