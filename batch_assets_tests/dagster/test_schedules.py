"""The schedule as Dagster evaluates it: when a tick starts a run, and what a skipped one says."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import dagster as dg
import pytest

from batch_assets.definitions import build_definitions
from batch_assets.ticks.starting import ACTIVE

JOB = "batch_processing_job"
ENDED = [
    dg.DagsterRunStatus.SUCCESS,
    dg.DagsterRunStatus.FAILURE,
    dg.DagsterRunStatus.CANCELED,
]


@pytest.fixture(scope="module")
def instance(instance_in_files: dg.DagsterInstance) -> dg.DagsterInstance:
    return instance_in_files


def tick(instance: dg.DagsterInstance) -> dg.RunRequest | dg.SkipReason:
    schedule = build_definitions().resolve_schedule_def("batch_processing_schedule")
    context = dg.build_schedule_context(
        instance=instance, scheduled_execution_time=datetime(2026, 1, 1, tzinfo=UTC)
    )
    data = schedule.evaluate_tick(context)
    if data.skip_message:
        return dg.SkipReason(data.skip_message)
    (request,) = data.run_requests or []
    return request


def add_run(instance: dg.DagsterInstance, status: dg.DagsterRunStatus, job: str) -> str:
    run = dg.DagsterRun(job_name=job, status=status, run_id=str(uuid.uuid4()))
    return instance.add_run(run).run_id


@contextmanager
def run_with(
    instance: dg.DagsterInstance, status: dg.DagsterRunStatus, job: str = JOB
) -> Iterator[str]:
    """A run for as long as the context lasts."""
    run_id = add_run(instance, status, job)
    try:
        yield run_id
    finally:
        instance.delete_run(run_id)


# A queued run cannot be made without a code server.
@pytest.mark.parametrize("status", [s for s in ACTIVE if s is not dg.DagsterRunStatus.QUEUED])
def test_a_tick_is_skipped_while_a_run_is(
    instance: dg.DagsterInstance, status: dg.DagsterRunStatus
) -> None:
    with run_with(instance, status) as run_id:
        skipped = tick(instance)
    word = status.value.lower().replace("_", " ")
    assert isinstance(skipped, dg.SkipReason)
    assert str(skipped.skip_message).startswith(
        f"Run {run_id} is still active ({word} since {datetime.now(UTC):%Y-%m-%d} "
    )


def test_a_tick_starts_a_run_whatever_else_ran_or_runs(instance: dg.DagsterInstance) -> None:
    for status in ENDED:
        add_run(instance, status, JOB)
    with run_with(instance, dg.DagsterRunStatus.STARTED, "another_job"):
        assert isinstance(tick(instance), dg.RunRequest)


def test_every_status_that_a_run_can_have_is_known() -> None:
    written_by_nobody_yet = {dg.DagsterRunStatus.MANAGED, dg.DagsterRunStatus.SUSPENDED}
    assert {*ACTIVE, *ENDED, *written_by_nobody_yet} == set(dg.DagsterRunStatus)


def test_a_tick_is_skipped_while_switched_off(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BATCH_SCHEDULES_ENABLED", "false")
    assert tick(instance) == dg.SkipReason("BATCH_SCHEDULES_ENABLED is false.")


def test_it_is_on_from_the_start() -> None:
    schedule = build_definitions().resolve_schedule_def("batch_processing_schedule")
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
