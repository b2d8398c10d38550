"""One run of the stages, in a process that is forked from one where all is imported."""

import logging
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

import psycopg
from sqlalchemy.exc import SQLAlchemyError

import batch_assets.openai_batch.connections  # noqa: F401 (loads the SDK, once for all runs)
from batch_assets.domain.errors import ApiError, BatchAssetsError, FailureKind
from batch_assets.openai_batch.client import BatchApi
from batch_assets.openai_batch.operations import Timeouts
from batch_assets.stages.abandoned import read_abandoned
from batch_assets.stages.circuit_breakers import CircuitBreakerGuard
from batch_assets.stages.controls.abandon import abandon_batch
from batch_assets.stages.ingest import ingest_results
from batch_assets.stages.orphans import delete_leftovers
from batch_assets.stages.pipeline import Budget, Pipeline
from batch_assets.stages.plan import find_due
from batch_assets.stages.poll import check_statuses
from batch_assets.stages.recover import recover
from batch_assets.stages.retry import retry_failed
from batch_assets.stages.submit import submit_due
from batch_assets.store.breakers import Breakers
from batch_assets.store.engine import open_engine
from batch_assets.store.registry import Registry
from batch_assets.store.strategy import QueryMode, Strategy, Toggle
from drills import probes
from drills.points import Points, Strike
from drills.story import TIMEOUTS, Story
from drills.world import World

API_KEY: Final = "sk-drill-0123456789"
STORY_ENDS: Final = (ApiError, BatchAssetsError, SQLAlchemyError, psycopg.Error)
"""What may end a branch of a run: the next one carries on."""


@dataclass(frozen=True)
class Scene:
    """Where a schedule's runs take place."""

    world: World
    base_url: str
    server_pid: int
    spool_dir: Path


def warm_up(story: Story, scene: Scene) -> None:
    """Make a run in this very process, without points: what is loaded late is then there.

    Nothing stays open: neither a connection nor a thread.
    """
    with opened(story, scene) as pipeline:
        _run(
            pipeline,
            Points(os.open(os.devnull, os.O_WRONLY), (), lambda _action: None),
            scene.world,
        )


Sabotage = Callable[[], None]
"""Puts a bug into the process that calls it."""


def fork_run(
    story: Story, scene: Scene, pipe: int, strikes: Sequence[Strike], sabotage: Sabotage | None
) -> int:
    """Begin a run; the id of its process, which writes the points that it reaches to `pipe`."""
    pid = os.fork()
    if pid == 0:
        _run_and_exit(story, scene, pipe, strikes, sabotage)
    return pid


def _run_and_exit(
    story: Story, scene: Scene, pipe: int, strikes: Sequence[Strike], sabotage: Sabotage | None
) -> NoReturn:
    code = 1
    try:
        logging.disable(logging.CRITICAL)
        points = Points(pipe, strikes, striker(scene.world, scene.server_pid))
        probes.install(points)
        if sabotage is not None:
            sabotage()
        with opened(story, scene) as pipeline:
            _run(pipeline, points, scene.world)
        code = 0
    except BaseException as error:
        os.write(pipe, f"?{type(error).__name__}: {str(error)[:300]}\n".encode())
    finally:
        os._exit(code)


def striker(world: World, server_pid: int) -> Callable[[str], None]:
    """What strikes this very process, or what it stands on."""

    def act(action: str) -> None:
        if action == "cut":
            world.end_connections()
        elif action == "restart":
            os.kill(server_pid, signal.SIGKILL)
        else:
            os.kill(os.getpid(), signal.SIGKILL if action == "kill" else signal.SIGSTOP)
            # Another thread may be the one that takes the signal first.
            time.sleep(0.01)

    return act


@contextmanager
def opened(story: Story, scene: Scene, timeouts: Timeouts = TIMEOUTS) -> Iterator[Pipeline]:
    """What the stages of one run are given."""
    engine = open_engine(scene.world.url)
    strategy = Strategy(engine, Toggle(mode=QueryMode(story.mode)))
    guard = CircuitBreakerGuard(Breakers(engine), story.policy)
    with BatchApi(
        API_KEY,
        scene.base_url,
        timeouts=timeouts,
        input_expires_seconds=story.policy.output_expires_seconds,
        guard=guard,
    ) as api:
        pipeline = Pipeline(
            queries=strategy.queries,
            registry=Registry(engine, story.policy.external_quiet_seconds),
            api=api,
            policy=story.policy,
            spool_dir=scene.spool_dir,
            owner=f"drill:{os.getpid()}",
        )
        yield pipeline
    strategy.flush()
    engine.dispose()


def _run(pipeline: Pipeline, points: Points, world: World) -> None:
    """Both branches of the job in their order, and the deletions; none keeps the others back.

    Then an operator looks after batches that do not end.
    """
    for part in (_read, _send, _clean):
        try:
            part(pipeline, points)
        except STORY_ENDS:
            continue
    _operate(pipeline, points, world)
    points.stage = "end"


def _operate(pipeline: Pipeline, points: Points, world: World) -> None:
    """Give up what does not end (the stage refuses all others), and read what it brings."""
    points.stage = "operate"
    for row in world.rows("in_flight"):
        try:
            abandon_batch(pipeline, row.id, "0h", str, force=True, dry_run=False)
        except STORY_ENDS:
            continue
    points.stage = "audit"
    budget = Budget(pipeline.policy.op_seconds, pipeline.policy.rows_per_run)
    with suppress(*STORY_ENDS):
        read_abandoned(pipeline, pipeline.read_snapshot(), budget, whenever=True)


def _read(pipeline: Pipeline, points: Points) -> None:
    budget = Budget(pipeline.policy.op_seconds, pipeline.policy.rows_per_run)
    points.stage = "check"
    _, seen = check_statuses(pipeline, pipeline.read_snapshot(), budget)
    points.stage = "recover"
    try:
        _, seen = recover(pipeline, seen, budget)
    except ApiError as error:
        if error.failure.kind is FailureKind.ACCOUNT:
            raise
        seen = pipeline.read_snapshot()
    points.stage = "ingest"
    _, seen = ingest_results(pipeline, seen, budget)
    points.stage = "retry"
    retry_failed(pipeline, seen, budget)


def _send(pipeline: Pipeline, points: Points) -> None:
    points.stage = "find"
    companies = [company.id for company in pipeline.queries.active_companies()]
    seen = pipeline.read_snapshot()
    due = find_due(pipeline, seen, companies).due
    points.stage = "submit"
    budget = Budget(pipeline.policy.op_seconds, pipeline.policy.rows_per_run)
    submit_due(pipeline, seen, [backlog.company_id for backlog in due], budget)


def _clean(pipeline: Pipeline, points: Points) -> None:
    points.stage = "clean"
    budget = Budget(pipeline.policy.op_seconds, pipeline.policy.rows_per_run)
    delete_leftovers(pipeline, pipeline.read_snapshot(), budget)
