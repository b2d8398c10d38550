"""When the audit runs by itself."""

from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import uuid4

import dagster as dg
import pytest

from batch_assets.definitions import build_definitions


@pytest.fixture(scope="module")
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as made:
        yield made


def tick(instance: dg.DagsterInstance) -> dg.RunRequest | str:
    """What a tick does: it starts a run, or says why not."""
    schedule = build_definitions().resolve_schedule_def("audit_schedule")
    context = dg.build_schedule_context(
        instance=instance, scheduled_execution_time=datetime(2026, 1, 1, tzinfo=UTC)
    )
    data = schedule.evaluate_tick(context)
    if data.skip_message:
        return str(data.skip_message)
    (request,) = data.run_requests or []
    return request


def test_it_is_on_and_runs_once_a_day_in_utc() -> None:
    schedule = build_definitions().resolve_schedule_def("audit_schedule")
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("17 3 * * *", "UTC")
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING


def test_two_audits_never_run_at_a_time(instance: dg.DagsterInstance) -> None:
    for job, status in (
        ("audit_job", dg.DagsterRunStatus.SUCCESS),
        ("batch_processing_job", dg.DagsterRunStatus.STARTED),
    ):
        instance.add_run(dg.DagsterRun(job_name=job, status=status, run_id=str(uuid4())))
    assert isinstance(tick(instance), dg.RunRequest)
    active = dg.DagsterRun(
        job_name="audit_job", status=dg.DagsterRunStatus.STARTED, run_id=str(uuid4())
    )
    instance.add_run(active)
    said = tick(instance)
    assert isinstance(said, str)
    assert said.startswith(f"Run {active.run_id} is still active (started since ")


def test_it_is_switched_off_with_everything(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BATCH_PROCESSING_ENABLED", "false")
    assert tick(instance) == "BATCH_PROCESSING_ENABLED is false."
