"""The sensors as Dagster evaluates them, beside the schedule, on its own history of runs."""

import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from sqlalchemy import Engine, text

from batch_assets.definitions import build_definitions
from batch_assets.settings import load_settings
from batch_assets.store.breakers import Cooldowns
from batch_assets.ticks.evaluator import TickEvaluator
from batch_assets.ticks.starting import InstanceRuns, TickContext
from batch_assets_tests.dagster.test_schedules import run_with
from batch_assets_tests.dagster.test_schedules import tick as schedule_tick
from batch_assets_tests.factories import make_company, make_requests

JOB = "batch_processing_job"
SENSORS = ("backlog_sensor", "completion_sensor", "failure_sensor")
End = Callable[..., None]


@pytest.fixture(scope="module")
def instance(instance_in_files: dg.DagsterInstance) -> dg.DagsterInstance:
    return instance_in_files


@pytest.fixture(autouse=True)
def configured(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    monkeypatch.setenv("BATCH_COOLDOWN_AFTER_FAILED_RUNS", "3")


@pytest.fixture
def end_runs(instance: dg.DagsterInstance) -> Iterator[End]:
    """Makes runs of the job that have ended: failed, unless they are to have ended otherwise."""

    def end(times: int, status: dg.DagsterRunStatus = dg.DagsterRunStatus.FAILURE) -> None:
        for _ in range(times):
            instance.add_run(dg.DagsterRun(job_name=JOB, status=status, run_id=str(uuid.uuid4())))

    yield end
    # Deleting runs would take longer than all the rest.
    end(2, dg.DagsterRunStatus.SUCCESS)


def tick(
    instance: dg.DagsterInstance, name: str, cursor: str | None = None
) -> tuple[list[dg.RunRequest], str, str | None]:
    """What a sensor asks for, why it does not, and what it leaves to the next tick."""
    sensor = build_definitions().resolve_sensor_def(name)
    with dg.build_sensor_context(instance=instance, cursor=cursor) as context:
        data = sensor.evaluate_tick(context)
    return list(data.run_requests or []), data.skip_message or "", data.cursor


def why_not(instance: dg.DagsterInstance, name: str) -> str:
    """Why a schedule or sensor starts nothing now."""
    if name in SENSORS:
        requests, said, _ = tick(instance, name)
        assert requests == []
        return said
    skipped = schedule_tick(instance)
    assert isinstance(skipped, dg.SkipReason)
    return str(skipped.skip_message)


@pytest.mark.parametrize("name", SENSORS)
def test_they_are_on_from_the_start_and_explain_themselves(name: str) -> None:
    sensor = build_definitions().resolve_sensor_def(name)
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
    assert sensor.job_name == JOB
    assert sensor.description


@pytest.mark.parametrize("name", SENSORS)
def test_they_are_all_switched_off_at_once(
    instance: dg.DagsterInstance, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BATCH_SCHEDULES_ENABLED", "false")
    assert why_not(instance, name) == "BATCH_SCHEDULES_ENABLED is false."


def test_failed_runs_stop_them_all_and_are_kept_by_one(
    instance: dg.DagsterInstance, end_runs: End, engine: Engine
) -> None:
    end_runs(2)
    assert isinstance(schedule_tick(instance), dg.RunRequest)
    end_runs(1)
    # What a person has cancelled says nothing.
    end_runs(1, dg.DagsterRunStatus.CANCELED)
    for name in ("batch_processing_schedule", "backlog_sensor", "completion_sensor"):
        assert why_not(instance, name).startswith("The last 3 runs have failed: no run is started")
    assert Cooldowns(engine).scheduler().until is None
    _, _, cursor = tick(instance, "failure_sensor")
    assert Cooldowns(engine).scheduler().until == pytest.approx(
        datetime.now(UTC) + timedelta(minutes=30), abs=timedelta(minutes=1)
    )
    end_runs(1, dg.DagsterRunStatus.SUCCESS)
    tick(instance, "failure_sensor", cursor)
    assert Cooldowns(engine).scheduler().until is None
    assert why_not(instance, "batch_processing_schedule").startswith("Nothing to do: ")


def test_after_a_pause_one_of_them_starts_one_run(
    instance: dg.DagsterInstance, end_runs: End, monkeypatch: pytest.MonkeyPatch
) -> None:
    end_runs(3)
    monkeypatch.setenv("BATCH_COOLDOWN_MINUTES", "0.000001")
    for name in ("batch_processing_schedule", "backlog_sensor", "completion_sensor"):
        assert why_not(instance, name).endswith("failure_sensor starts a single run on trial.")
    requests, _, _ = tick(instance, "failure_sensor")
    assert len(requests) == 1
    with run_with(instance, dg.DagsterRunStatus.NOT_STARTED):
        assert "is still active (not started since" in why_not(instance, "failure_sensor")


def test_a_reset_counts_to_the_microsecond(
    instance: dg.DagsterInstance, end_runs: End, engine: Engine
) -> None:
    end_runs(4)
    assert why_not(instance, "failure_sensor")
    assert Cooldowns(engine).reset_scheduler("the tests")
    # As Dagster ends them.
    for _ in range(3):
        assert isinstance(schedule_tick(instance), dg.RunRequest)
        run = dg.DagsterRun(job_name=JOB, run_id=str(uuid.uuid4()))
        instance.report_run_failed(instance.add_run(run))
    assert why_not(instance, "batch_processing_schedule").startswith("The last 3 runs have failed")


def test_what_is_due_is_asked_for_once(instance: dg.DagsterInstance, engine: Engine) -> None:
    with engine.begin() as connection:
        make_requests(connection, make_company(connection), 10)
        connection.execute(text("UPDATE batch_assets.installation SET confirmed_at = now()"))
    requests, _, cursor = tick(instance, "backlog_sensor")
    assert [request.run_key for request in requests] == [cursor]
    with run_with(instance, dg.DagsterRunStatus.STARTED):
        requests, said, kept = tick(instance, "backlog_sensor", cursor)
        assert (requests, kept) == ([], cursor)
        assert "is still active" in said
    requests, said, kept = tick(instance, "backlog_sensor", cursor)
    assert (requests, kept) == ([], cursor)
    assert said.startswith("A run was started for this already")


@pytest.mark.parametrize("name", ["backlog_sensor", "completion_sensor", "failure_sensor"])
@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://livedash:pw-canary@127.0.0.1:9/livedash", "port 9 does not answer: start"),
        ("postgresql://pw-canary", "The database URL names no database"),
    ],
)
def test_a_database_that_cannot_be_reached_is_a_reason_and_no_error(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, name: str, url: str, said: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    reason = why_not(instance, name)
    assert said in reason
    assert "canary" not in reason


def test_missing_tables_are_a_reason_and_no_error(
    instance: dg.DagsterInstance, empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", empty_database_url)
    for name in SENSORS:
        assert why_not(instance, name).endswith("run `batch-assets migrate`.")


def test_half_a_configuration_is_a_reason_and_no_error(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    assert why_not(instance, "backlog_sensor").startswith("OPENAI_API_KEY is missing although")


def test_no_connection_stays_open(instance: dg.DagsterInstance, engine: Engine) -> None:
    definitions = build_definitions()
    for name in SENSORS:
        with dg.build_sensor_context(instance=instance) as context:
            definitions.resolve_sensor_def(name).evaluate_tick(context)
    with engine.connect() as connection:
        open_now = connection.execute(
            text(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND application_name = 'batch-assets'"
            )
        ).scalar_one()
    assert open_now == 0


def test_dagsters_instance_is_opened_once_for_many_ticks(instance: dg.DagsterInstance) -> None:
    evaluator = TickEvaluator(load_settings())
    seen = []

    def evaluate(tick: TickContext) -> dg.SkipReason:
        assert isinstance(tick.runs, InstanceRuns)
        seen.append(tick.runs.instance)
        return dg.SkipReason("Nothing to do.")

    for _ in range(2):
        with dg.SensorEvaluationContext(
            instance_ref=instance.get_ref(),
            last_tick_completion_time=None,
            last_run_key=None,
            cursor=None,
            repository_name=None,
        ) as context:
            evaluator.evaluate(context, "audit_job", evaluate)
    assert seen[0] is seen[1] is not instance
    seen[0].dispose()
