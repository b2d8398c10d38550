"""How jobs of ours execute: by any executor of Dagster's whose process can be seen to live.

Nothing of a run is kept in a process's memory, so its ops may run in one process, in one each, or
on other hosts. One process is the default, since starting one for each op takes longer than the ops
do. A run's tags say that it runs alone, and in which process it began; the UI hides both.

An op of ours that fails has handed on what it came to before. So the executor is told that what
comes after an op needs its output, not its success: the op is shown as failed, and the run is
closed all the same.
"""

import json
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final

import dagster as dg

# What executors outside of Dagster execute: it is exported nowhere else.
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.step_dependency_config import StepDependencyConfig

from batch_assets.domain.accounts import DEFAULT_ACCOUNT
from batch_assets.domain.errors import BatchAssetsError
from batch_assets.domain.hosts import WATCHED_TAG, ProcessName, RunProcess
from batch_assets.resources.heartbeat import beating, this_process

EXCLUSIVE: Final[Mapping[str, str]] = {".dagster/batch_assets_exclusive": "batch_processing_job"}
"""Tags a run that submits: `dagster.yaml` lets one of them start at a time, of whichever job."""
_PARTITION: Final = "dagster/partition"
"""Where Dagster keeps which partition a run is of: an account, where there are several."""
WATCHED: Final[Mapping[str, str]] = {WATCHED_TAG: "true"}
"""Tags a job whose runs have a heartbeat: one that is never heard of is dead."""
_PROCESS: Final = ".dagster/batch_assets_process"
_PARENT: Final = "dagster/parent_run_id"


def account_of_run(tags: Mapping[str, str]) -> str:
    """The account whose run has these tags; the default where there is only one."""
    return tags.get(_PARTITION, DEFAULT_ACCOUNT)


def partition_tags(account_name: str) -> Mapping[str, str]:
    """The tags by which runs are found that are an account's, where there are several."""
    return {_PARTITION: account_name}


def exclusive_of(account_name: str) -> Mapping[str, str]:
    """The tags of a run that submits with an account: one of them at a time, beside others'."""
    key, value = next(iter(EXCLUSIVE.items()))
    return {key: value if account_name == DEFAULT_ACCOUNT else f"{value}/{account_name}"}


def is_watched(run: dg.DagsterRun) -> bool:
    """Whether a run lets itself be heard of, if it lives."""
    return WATCHED.items() <= run.tags.items()


def tags_of(name: ProcessName, run_id: str = "") -> Mapping[str, str]:
    """The tags of a run that begins in a process now; the id is not known before there is a run."""
    return {_PROCESS: json.dumps(asdict(name) | {"began_at": time.time(), "run_id": run_id})}


def first_process_of(run: dg.DagsterRun) -> RunProcess | None:
    """The process in which a run began, as if it was last heard of then; `None` if nobody knows.

    Dagster gives a run that is executed again the tags of the one before, whose process is dead.
    """
    told = run.tags.get(_PROCESS)
    if told is None:
        return None
    name = json.loads(told)
    began_at, run_id = name.pop("began_at"), name.pop("run_id", "")
    if run_id != run.run_id if run_id else run.tags.get(_PARENT):
        return None
    return RunProcess(
        ProcessName(**name),
        beat_at=datetime.fromtimestamp(began_at, UTC),
        silent_seconds=time.time() - began_at,
        has_ended=False,
    )


_AFTER_AN_OP: Final = "step_dependency_config"
"""What Dagster's executors call the configuration of what an op needs of those before it."""
_ITS_OUTPUT: Final = {"require_upstream_step_success": False}
_CELERYS: Final = "dagster_celery.executor"
"""The module of the executor that has no such configuration, and starts the plan it is given."""


class GoingOnPlan(ExecutionPlan):
    """A plan that is started such that what comes after an op needs its output, not its success."""

    def start(self, *arguments: Any, **named: Any) -> Any:
        """Start it as an executor asks for, but for that."""
        named["step_dependency_config"] = StepDependencyConfig(**_ITS_OUTPUT)
        return super().start(*arguments, **named)


class WatchedExecutor(dg.Executor):
    """An executor whose own process has a heartbeat for as long as it executes."""

    def __init__(self, inner: dg.Executor) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        """What else is asked of the executor within, as by Celery's loop."""
        return getattr(self._inner, name)

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
            plan = tuple.__new__(GoingOnPlan, execution_plan)
            yield from self._inner.execute(plan_context, plan)


class WatchedExecutorDefinition(dg.ExecutorDefinition):
    """The definition of a `WatchedExecutor`, which can be told from Dagster's own."""


def watched(executor: dg.ExecutorDefinition) -> dg.ExecutorDefinition:
    """The same executor, whose own process has a heartbeat for as long as it executes.

    Raises:
        BatchAssetsError: It cannot be made by itself, so that nobody would see that a run lives; or
            it begins no op after one that has failed, so that such a run would not be closed.
    """
    make = executor.executor_creation_fn
    if make is None:
        raise BatchAssetsError(
            f"The executor {executor.name} is not supported: it is made by no function of its own. "
            "Take in_process_executor, multiprocess_executor or another one with "
            "an executor_creation_fn."
        )
    config = {_AFTER_AN_OP: _ITS_OUTPUT} if _AFTER_AN_OP in _fields_of(executor) else {}
    if not config and make.__module__ != _CELERYS:
        raise BatchAssetsError(
            f"The executor {executor.name} is not supported: it cannot be configured with "
            f"{_AFTER_AN_OP}, so that it would begin nothing after an op that has failed, and the "
            "run would neither be counted nor checked. Take in_process_executor, "
            "multiprocess_executor or celery_executor."
        )

    def create(context: dg.InitExecutorContext) -> WatchedExecutor:
        given = {**context.executor_config, **config}
        return WatchedExecutor(make(context._replace(executor_config=given)))

    return WatchedExecutorDefinition(
        name=executor.name,
        config_schema=executor.config_schema,  # type: ignore[arg-type]
        requirements=executor.get_requirements,
        executor_creation_fn=create,
        description=f"{executor.description or executor.name} Its process has a heartbeat.",
    )


def goes_on_after_failures(job: dg.JobDefinition) -> bool:
    """Whether ops are begun whose input was made by an op that has failed after making it."""
    return isinstance(job.executor_def, WatchedExecutorDefinition)


def _fields_of(executor: dg.ExecutorDefinition) -> Collection[str]:
    """The names of what the executor can be configured with."""
    config_type = executor.config_schema.config_type if executor.config_schema else None
    return getattr(config_type, "fields", {}).keys()


run_executor: Final = watched(dg.in_process_executor)
"""All ops in one process: starting one for each would take longer than the ops do."""
