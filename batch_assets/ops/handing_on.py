"""How an op of the main job hands its failure on as a value, so that the run is closed anyhow.

Dagster begins no op whose input was not made. So an op that fails logs why, says it in its output's
metadata, hands the sentence on, and only then fails. The ops after it in its branch do nothing and
hand that on; those that close the run do their work, and the last of them fails with them all.

Where Dagster does not go on after an op that fails although its output was made (that is how
`JobDefinition.execute_in_process` is), the op itself does not fail: the last one does. Where the
ops that close a run were not selected, nobody else would fail it: then the op does, anyway.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, Final

import dagster as dg

from batch_assets.domain.errors import BatchAssetsError
from batch_assets.ops.failures import NOT_BEGUN_AFTER, attempt, clear_failures, fail_op
from batch_assets.ops.reporting import log_of, show
from batch_assets.resources.connections import DatabaseResource
from batch_assets.resources.pipeline import PipelineResource, StageRun
from batch_assets.resources.run_executor import goes_on_after_failures
from batch_assets.stages.run_state import RunSummary, StageState
from batch_assets.store.runs import RunStates
from batch_assets.telemetry.tracing import mark_failed, stage_span

STATE: Final = dg.Out(dict, description="What the stage has come to: see `stages.run_state`.")

SUMMARY: Final = dg.Out(dict, description="What the run has come to: see `stages.run_state`.")

CLOSING: Final = ("record_metrics", "check_row_conservation", "evaluate_checks")
"""The ops by which each failure comes to the last one, which fails the run."""

Value = dict[str, Any]
"""What ops hand on: every IO manager carries it."""

HandedOn = Iterator[dg.Output[Value]]
"""What an op of a stage yields."""

Evaluated = Iterator[dg.AssetCheckEvaluation | dg.Output[Value]]
"""What an op that closes a run yields: what it has evaluated, and then what it hands on."""


def carry_out(
    context: dg.OpExecutionContext,
    pipeline: PipelineResource,
    work: Callable[[StageRun], None],
    *,
    after: Value | None = None,
) -> HandedOn:
    """Do an op's work, unless the op before it has failed, and hand on what it has come to.

    Raises:
        Failure: It has failed; once that was handed on.
    """
    stage = pipeline.begin(context.op.name)
    blocked_by = StageState.of_value(after).stopped_by if after else ""
    if blocked_by:
        show_not_begun(context, blocked_by)
        yield dg.Output(stage.state(blocked_by=blocked_by).as_value())
        return
    with stage_span(context.op.name, context.run_id) as span:
        failure = attempt(context, lambda: work(stage))
        mark_failed(span, failure)
    yield dg.Output(stage.state(failure=failure).as_value())
    _show_failure(context, failure)


def carry_on(
    context: dg.OpExecutionContext,
    pipeline: PipelineResource,
    run: RunSummary,
    work: Callable[[StageRun], Iterable[dg.AssetCheckEvaluation]],
) -> Evaluated:
    """Do an op's work whatever has failed before it: what it has evaluated, and the run up to now.

    Raises:
        Failure: It has failed; once that was handed on.
    """
    stage = pipeline.begin(context.op.name)
    evaluated: list[dg.AssetCheckEvaluation] = []
    with stage_span(context.op.name, context.run_id) as span:
        failure = attempt(context, lambda: evaluated.extend(work(stage)))
        mark_failed(span, failure)
    yield from evaluated
    yield dg.Output(
        replace(
            run,
            failures={**run.failures, **({context.op.name: failure} if failure else {})},
            statements=run.statements + stage.statements,
            behind=stage.behind or run.behind,
        ).as_value()
    )
    _show_failure(context, failure)


def show_not_begun(context: dg.OpExecutionContext, blocked_by: str) -> None:
    """Say that an op does nothing since another one has failed."""
    log_of(context).warning("Not begun, since %s has failed.", blocked_by)
    show(context, {NOT_BEGUN_AFTER: blocked_by})


def _show_failure(context: dg.OpExecutionContext, failure: str) -> None:
    """Fail an op that has failed, if the ops after it are begun all the same, or no one else does.

    An execution of some ops alone may leave out those that close a run.
    """
    is_closed = all(context.job_def.has_node_named(op) for op in CLOSING)
    if failure and (goes_on_after_failures(context.job_def) or not is_closed):
        fail_op(failure)


class RunStateIOManager(dg.ConfigurableIOManager):
    """Keeps what the main job's ops hand on in `batch_assets.run_state`, by run and op.

    So each op may run on another host: an IO manager that keeps files, as Dagster's own does, would
    need a directory that all of them share. An op whose state cannot be kept has failed.
    """

    database: dg.ResourceDependency[DatabaseResource]

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        """Keep what an op hands on; one statement. What the last op returns is for nobody.

        Raises:
            Failure: The database cannot be reached, or refuses it.
        """
        if isinstance(obj, dict):
            with clear_failures():
                RunStates(self.database.engine).keep(context.run_id, context.step_key, obj)

    def load_input(self, context: dg.InputContext) -> Value:
        """Read what an op has handed on; one statement.

        Raises:
            Failure: The database cannot be reached, or it is gone.
        """
        given = context.upstream_output
        if given is None:
            raise TypeError("Every input of the main job is another op's output.")
        with clear_failures():
            found = RunStates(self.database.engine).read(given.run_id, given.step_key)
            if found is None:
                raise BatchAssetsError(
                    f"What {given.step_key} has handed on is gone, since it is kept for a day: "
                    "launch the job anew."
                )
        return found
