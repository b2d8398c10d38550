"""Runs that died with their process are given up, and Ctrl-C ends a run whenever it comes."""

import signal
from dataclasses import replace
from datetime import timedelta

import dagster as dg
import pytest
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._utils.interrupts import capture_interrupts

from batch_assets.cli.dagster_instance import active_run, open_instance
from batch_assets.cli.run import run_job, sentences_of
from batch_assets.resources.heartbeat import this_process
from batch_assets.resources.run_executor import EXCLUSIVE, first_process_of
from batch_assets.store.dagster_schema import create_dagster_schema
from batch_assets.store.engine import open_engine
from batch_assets.store.runs import RunProcesses
from batch_assets_tests.cli.conftest import KEY


def test_a_run_is_given_up_once_its_process_is_gone(
    database_url: str, dagster_home: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_dagster_schema(database_url)
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("DAGSTER_HOME", dagster_home)
    here = this_process()
    gone = replace(here, started_ticks=here.started_ticks - 1)
    names = {"batch_processing_job": gone, "report_job": here, "audit_job": None}
    runs = [
        dg.DagsterRun(job_name=job, status=dg.DagsterRunStatus.STARTED, tags=dict(EXCLUSIVE))
        for job in names
    ]
    engine = open_engine(database_url)
    with open_instance() as instance:
        for run, name in zip(runs, names.values(), strict=True):
            instance.add_run(run)
            if name is not None:
                RunProcesses(engine).beat(run.run_id, name)
    engine.dispose()
    with open_instance() as instance:
        found = [instance.get_run_by_id(run.run_id) for run in runs]
        active = active_run(instance)
    assert [run.status.value if run else "" for run in found] == ["FAILURE", "STARTED", "STARTED"]
    assert active in {run.run_id for run in runs[1:]}


def test_a_run_that_nobody_takes_from_the_queue_keeps_no_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("batch_assets"), "__repository__")
    with dg.instance_for_test() as instance:
        queued = dg.DagsterRun(
            job_name="batch_processing_job",
            status=dg.DagsterRunStatus.QUEUED,
            tags=dict(EXCLUSIVE),
            remote_job_origin=RemoteJobOrigin(place, "batch_processing_job"),
        )
        instance.add_run(queued)
        assert active_run(instance) == queued.run_id
        monkeypatch.setattr(
            "batch_assets.cli.dagster_instance._QUEUE_PATIENCE", -timedelta(minutes=1)
        )
        assert active_run(instance) is None


def test_ctrl_c_after_the_last_op_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_arguments: object, **_options: object) -> None:
        with capture_interrupts():
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(dg, "execute_job", run)
    with dg.DagsterInstance.ephemeral() as instance, pytest.raises(KeyboardInterrupt):
        run_job(instance)


def test_a_run_names_its_process_before_anything_else_of_it_is_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given: dict[str, str] = {}

    def die(*_arguments: object, tags: dict[str, str], **_options: object) -> None:
        given.update(tags)
        raise ConnectionError

    monkeypatch.setattr(dg, "execute_job", die)
    with dg.DagsterInstance.ephemeral() as instance, pytest.raises(ConnectionError):
        run_job(instance)
    first = first_process_of(dg.DagsterRun(job_name="batch_processing_job", tags=given))
    assert first is not None
    assert first.name == this_process()


@dg.op
def exhausted() -> None:
    """Fail as an op does whose memory ends outside of our own code."""
    raise MemoryError


@dg.job
def out_of_memory() -> None:
    """Run it."""
    exhausted()


def test_memory_that_ends_within_dagster_is_a_sentence() -> None:
    result = out_of_memory.execute_in_process(raise_on_error=False)
    (event,) = (one for one in result.all_events if one.is_step_failure)
    ((op, said),) = sentences_of(event)
    assert op == "exhausted"
    assert said.startswith("This process has no memory left")
