"""A run whose process is gone is known as dead, and its record is closed, whoever looks."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from dagster._core.launcher.base import WorkerStatus
from sqlalchemy import Engine

from batch_assets.domain import hosts
from batch_assets.domain.hosts import ProcessName, RunTrace
from batch_assets.resources import run_launcher
from batch_assets.resources.heartbeat import this_process
from batch_assets.resources.run_executor import WATCHED, tags_of
from batch_assets.resources.run_launcher import RunWatch, WatchedRunLauncher
from batch_assets.store.runs import RunProcesses
from batch_assets.ticks.starting import InstanceRuns

HERE = this_process()
DEAD = replace(HERE, started_ticks=HERE.started_ticks - 1)
"""It had this process's id before."""
ELSEWHERE = ProcessName("another host", 17, 4_711, "worker-2")


@pytest.fixture(scope="module")
def instance() -> Iterator[dg.DagsterInstance]:
    launcher = {"module": WatchedRunLauncher.__module__, "class": WatchedRunLauncher.__name__}
    with dg.instance_for_test(overrides={"run_launcher": launcher}) as made:
        yield made


@pytest.fixture
def processes(emptied_engine: Engine, monkeypatch: pytest.MonkeyPatch) -> RunProcesses:
    """On the database that this environment leads to."""
    url = emptied_engine.url.set(drivername="postgresql")
    monkeypatch.setenv("DATABASE_URL", url.render_as_string(hide_password=False))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    return RunProcesses(emptied_engine)


@pytest.fixture
def watch(processes: RunProcesses) -> RunWatch:
    return RunWatch()


@pytest.fixture
def time_flies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever was not heard of at this moment was not for long."""
    monkeypatch.setattr(hosts, "SILENT_SECONDS", -1)
    monkeypatch.setattr(run_launcher, "UNHEARD_SECONDS", -60)
    monkeypatch.setattr(run_launcher, "SECOND_LOOK_SECONDS", 0)


def make_run(
    instance: dg.DagsterInstance,
    status: dg.DagsterRunStatus = dg.DagsterRunStatus.STARTED,
    *,
    job_name: str = "batch_processing_job",
    is_watched: bool = True,
) -> str:
    tags = dict(WATCHED) if is_watched else {}
    run = dg.DagsterRun(job_name=job_name, status=status, tags=tags)
    return instance.add_run(run).run_id


def messages_of(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    events = [one.dagster_event for one in instance.all_logs(run_id)]
    return [str(event.message) for event in events if event is not None]


def status_of(instance: dg.DagsterInstance, run_id: str) -> str:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status.value


@pytest.mark.parametrize(
    "case",
    [
        ("STARTED", DEAD, "FAILURE", f"process {DEAD.pid} on {DEAD.host_name} has ended before it"),
        ("CANCELING", DEAD, "CANCELED", "has ended before it"),
        ("STARTED", HERE, "STARTED", ""),
        ("STARTED", ELSEWHERE, "STARTED", ""),
        ("SUCCESS", DEAD, "SUCCESS", ""),
    ],
)
def test_a_run_with_a_process(
    instance: dg.DagsterInstance,
    processes: RunProcesses,
    case: tuple[str, ProcessName, str, str],
) -> None:
    status, process, expected, said = case
    run_id = make_run(instance, dg.DagsterRunStatus(status))
    processes.beat(run_id, process)
    was_closed = run_id in RunWatch().close_dead_runs(instance)
    assert was_closed is bool(said)
    assert status_of(instance, run_id) == expected
    messages = messages_of(instance, run_id)
    assert all(said in message for message in messages)
    assert len(messages) == was_closed


@pytest.mark.parametrize(("process", "expected"), [(DEAD, "FAILURE"), (HERE, "STARTED")])
def test_a_run_that_has_not_beaten_yet_is_known_by_its_tags(
    instance: dg.DagsterInstance, watch: RunWatch, process: ProcessName, expected: str
) -> None:
    run_id = make_run(instance)
    instance.add_run_tags(run_id, dict(tags_of(process)))
    watch.close_dead_runs(instance)
    assert status_of(instance, run_id) == expected


@pytest.mark.parametrize("says_whose", [True, False])
def test_a_run_that_is_executed_again_is_not_where_the_dead_one_was(
    instance: dg.DagsterInstance, watch: RunWatch, says_whose: bool
) -> None:
    dead = make_run(instance, dg.DagsterRunStatus.FAILURE)
    # As `create_reexecuted_run` of Dagster gives them on.
    copied = {**WATCHED, **tags_of(DEAD, dead if says_whose else "")}
    tags = {**copied, "dagster/parent_run_id": dead, "dagster/root_run_id": dead}
    run = dg.DagsterRun(
        job_name="batch_processing_job", status=dg.DagsterRunStatus.STARTING, tags=tags
    )
    instance.add_run(run)
    watch.close_dead_runs(instance)
    assert status_of(instance, run.run_id) == "STARTING"
    instance.add_run_tags(run.run_id, dict(tags_of(DEAD, run.run_id)))
    watch.close_dead_runs(instance)
    assert status_of(instance, run.run_id) == "FAILURE"


@pytest.mark.usefixtures("time_flies")
def test_a_process_of_another_host_is_gone_once_it_is_silent(
    instance: dg.DagsterInstance, watch: RunWatch, processes: RunProcesses
) -> None:
    run_id = make_run(instance)
    processes.beat(run_id, ELSEWHERE)
    assert run_id in watch.close_dead_runs(instance)
    (said,) = messages_of(instance, run_id)
    assert "process 17 on worker-2 was not heard of for 0 s" in said
    assert processes.beat(run_id, ELSEWHERE).is_given_up, "should it wake, it ends itself"


@pytest.mark.usefixtures("time_flies")
def test_one_that_is_heard_of_at_the_second_look_lives(
    instance: dg.DagsterInstance,
    watch: RunWatch,
    processes: RunProcesses,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run_id = make_run(instance)
    processes.beat(run_id, ELSEWHERE)

    def sleep(_seconds: float) -> None:
        processes.beat(run_id, HERE)

    monkeypatch.setattr("batch_assets.resources.run_launcher.time.sleep", sleep)
    assert watch.give_up(instance, run_id) is None
    assert not processes.trace(run_id).is_given_up


@pytest.mark.usefixtures("time_flies")
@pytest.mark.parametrize("status", ["NOT_STARTED", "STARTING", "STARTED", "CANCELING"])
@pytest.mark.parametrize("is_watched", [True, False])
def test_a_run_that_was_never_heard_of(
    instance: dg.DagsterInstance, watch: RunWatch, status: str, is_watched: bool
) -> None:
    run_id = make_run(instance, dg.DagsterRunStatus(status), is_watched=is_watched)
    closed = "CANCELED" if status == "CANCELING" else "FAILURE"
    watch.close_dead_runs(instance)
    # Another location's runs, or an older version's, have no heartbeat.
    assert status_of(instance, run_id) == (closed if is_watched else status)


def test_a_run_that_was_just_started_may_not_have_been_heard_of(
    instance: dg.DagsterInstance, watch: RunWatch
) -> None:
    run_id = make_run(instance)
    watch.close_dead_runs(instance)
    assert status_of(instance, run_id) == "STARTED"


@pytest.mark.usefixtures("time_flies")
def test_what_cannot_be_seen_is_not_dead(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://livedash@127.0.0.1:9/livedash")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    run_id = make_run(instance)
    run = instance.get_run_by_id(run_id)
    assert run is not None
    assert RunWatch().give_up(instance, run_id) is None
    assert instance.run_launcher.check_run_worker_health(run).status is WorkerStatus.RUNNING
    assert not instance.run_launcher.terminate(run_id)


def test_a_closing_that_was_cut_off_is_finished(
    instance: dg.DagsterInstance, watch: RunWatch, processes: RunProcesses
) -> None:
    run_id = make_run(instance)
    processes.beat(run_id, ELSEWHERE)
    processes.give_up(run_id, processes.trace(run_id))
    assert run_id in watch.close_dead_runs(instance)


def test_dagsters_run_monitoring_learns_of_it(
    instance: dg.DagsterInstance, processes: RunProcesses
) -> None:
    dead, alive = make_run(instance), make_run(instance)
    processes.beat(dead, DEAD)
    processes.beat(alive, HERE)
    health = [
        instance.run_launcher.check_run_worker_health(run)
        for run in (instance.get_run_by_id(dead), instance.get_run_by_id(alive))
        if run is not None
    ]
    assert [one.status for one in health] == [WorkerStatus.NOT_FOUND, WorkerStatus.RUNNING]
    assert "has ended before it" in str(health[0].msg)


def test_a_tick_goes_on_after_a_run_that_is_dead(
    instance: dg.DagsterInstance, processes: RunProcesses, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = make_run(instance, job_name="a_job")
    processes.beat(run_id, DEAD)
    runs = InstanceRuns(instance, "a_job")
    # Dagster's own monitoring has the first turn.
    assert runs.active() is not None
    monkeypatch.setattr("batch_assets.ticks.starting._OLD", -runs_age(instance, run_id))
    assert runs.active() is None
    assert status_of(instance, run_id) == "FAILURE"


def runs_age(instance: dg.DagsterInstance, run_id: str) -> timedelta:
    record = instance.get_run_record_by_id(run_id)
    assert record is not None
    return abs(datetime.now(UTC) - record.create_timestamp) + timedelta(seconds=60)


@pytest.mark.parametrize("status", ["STARTED", "CANCELING"])
def test_a_dead_run_is_terminated_at_once(
    instance: dg.DagsterInstance, processes: RunProcesses, status: str
) -> None:
    run_id = make_run(instance, dg.DagsterRunStatus(status))
    processes.beat(run_id, DEAD)
    assert instance.run_launcher.terminate(run_id)
    assert status_of(instance, run_id) == "CANCELED"
    assert not instance.run_launcher.terminate(run_id)


def test_a_run_without_its_code_server_ends_with_its_next_beat(
    instance: dg.DagsterInstance, processes: RunProcesses
) -> None:
    run_id = make_run(instance)
    processes.beat(run_id, HERE)
    server = {".dagster/grpc_info": '{"host": "localhost", "socket": "/nowhere"}'}
    for tags in ({}, server):
        instance.add_run_tags(run_id, tags)
        assert instance.run_launcher.terminate(run_id)
        assert status_of(instance, run_id) == "CANCELING"
    assert processes.beat(run_id, HERE).is_to_end


def test_a_run_that_nobody_knows_is_cancelled_at_once(
    instance: dg.DagsterInstance, processes: RunProcesses
) -> None:
    ours, others = make_run(instance), make_run(instance, is_watched=False)
    assert instance.run_launcher.terminate(ours)
    assert status_of(instance, ours) == "CANCELED"
    assert processes.trace(ours) == RunTrace([], is_given_up=True)
    assert not instance.run_launcher.terminate(others)
