"""When the jobs that look at or tidy up run by themselves."""

from datetime import UTC, datetime
from uuid import uuid4

import dagster as dg
import pytest

from batch_assets.definitions import build_definitions

SCHEDULES = {
    "audit_schedule": ("audit_job", "17 3 * * *"),
    "prune_schedule": ("prune_job", "47 3 * * *"),
    "report_schedule": ("report_job", "7 * * * *"),
}


@pytest.fixture(scope="module")
def instance(instance_in_files: dg.DagsterInstance) -> dg.DagsterInstance:
    return instance_in_files


def tick(instance: dg.DagsterInstance, name: str) -> dg.RunRequest | str:
    """What a tick does: it starts a run, or says why not."""
    schedule = build_definitions().resolve_schedule_def(name)
    context = dg.build_schedule_context(
        instance=instance, scheduled_execution_time=datetime(2026, 1, 1, tzinfo=UTC)
    )
    data = schedule.evaluate_tick(context)
    if data.skip_message:
        return str(data.skip_message)
    (request,) = data.run_requests or []
    return request


@pytest.mark.parametrize("name", SCHEDULES)
def test_they_are_on_and_run_in_utc(name: str) -> None:
    job, cron = SCHEDULES[name]
    schedule = build_definitions().resolve_schedule_def(name)
    assert (schedule.job_name, schedule.cron_schedule) == (job, cron)
    assert schedule.execution_timezone == "UTC"
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING


@pytest.mark.parametrize("name", SCHEDULES)
def test_two_runs_never_overlap(instance: dg.DagsterInstance, name: str) -> None:
    job, _ = SCHEDULES[name]
    for other, status in (
        (job, dg.DagsterRunStatus.SUCCESS),
        ("batch_processing_job", dg.DagsterRunStatus.STARTED),
    ):
        instance.add_run(dg.DagsterRun(job_name=other, status=status, run_id=str(uuid4())))
    assert isinstance(tick(instance, name), dg.RunRequest)
    active = dg.DagsterRun(job_name=job, status=dg.DagsterRunStatus.STARTED, run_id=str(uuid4()))
    instance.add_run(active)
    said = tick(instance, name)
    assert isinstance(said, str)
    assert said.startswith(f"Run {active.run_id} is still active (started since ")


def test_they_are_switched_off_with_everything(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BATCH_SCHEDULES_ENABLED", "false")
    said = {tick(instance, name) for name in SCHEDULES}
    assert said == {"BATCH_SCHEDULES_ENABLED is false."}
