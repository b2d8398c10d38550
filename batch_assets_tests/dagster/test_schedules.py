"""The schedule: when a tick starts a run, and what a skipped one says."""

import uuid
from datetime import UTC, datetime

import dagster as dg
import pytest

from batch_assets.definitions import build_definitions
from batch_assets.schedules.active import ACTIVE
from batch_assets.schedules.batch_processing import decide

ENDED = [
    dg.DagsterRunStatus.SUCCESS,
    dg.DagsterRunStatus.FAILURE,
    dg.DagsterRunStatus.CANCELED,
]


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


def test_switched_off_wins() -> None:
    assert decide(enabled=False, active_run_id="r") == dg.SkipReason(
        "BATCH_PROCESSING_ENABLED is false."
    )


def test_an_active_run_is_named() -> None:
    assert decide(enabled=True, active_run_id="r") == dg.SkipReason("Run r is still active.")


def test_otherwise_a_run_starts() -> None:
    assert decide(enabled=True, active_run_id=None) == dg.RunRequest()


# A queued run cannot be made without a code server.
@pytest.mark.parametrize("status", [s for s in ACTIVE if s is not dg.DagsterRunStatus.QUEUED])
def test_a_tick_is_skipped_while_a_run_is(
    instance: dg.DagsterInstance, status: dg.DagsterRunStatus
) -> None:
    run_id = add_run(instance, status, "batch_processing_job")
    try:
        assert tick(instance) == dg.SkipReason(f"Run {run_id} is still active.")
    finally:
        instance.delete_run(run_id)


def test_a_tick_starts_a_run_whatever_else_ran_or_runs(instance: dg.DagsterInstance) -> None:
    for status in ENDED:
        add_run(instance, status, "batch_processing_job")
    add_run(instance, dg.DagsterRunStatus.STARTED, "another_job")
    assert isinstance(tick(instance), dg.RunRequest)


def test_every_status_that_a_run_can_have_is_known() -> None:
    written_by_nobody_yet = {dg.DagsterRunStatus.MANAGED, dg.DagsterRunStatus.SUSPENDED}
    assert {*ACTIVE, *ENDED, *written_by_nobody_yet} == set(dg.DagsterRunStatus)


def test_a_tick_is_skipped_while_switched_off(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BATCH_PROCESSING_ENABLED", "false")
    assert tick(instance) == dg.SkipReason("BATCH_PROCESSING_ENABLED is false.")


def test_it_is_on_from_the_start() -> None:
    schedule = build_definitions().resolve_schedule_def("batch_processing_schedule")
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
