"""Runs that died with their process are given up, and Ctrl-C ends a run whenever it comes."""

import os
import socket

import dagster as dg
import psutil
import pytest

from batch_assets.cli.job import PROCESS_TAG, open_instance, run_job
from batch_assets.store.dagster_schema import create_dagster_schema
from batch_assets_tests.cli.conftest import KEY


def test_a_run_is_given_up_once_its_process_is_gone(
    database_url: str, dagster_home: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_dagster_schema(database_url)
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("DAGSTER_HOME", dagster_home)
    here = f"{socket.gethostname()} {os.getpid()}"
    begun = f"{psutil.Process().create_time():.2f}"
    runs = [
        dg.DagsterRun(job_name=job, status=dg.DagsterRunStatus.STARTED, tags=tags)
        for job, tags in (
            ("batch_processing_job", {PROCESS_TAG: f"{here} 1.00"}),
            ("report_job", {PROCESS_TAG: f"{here} 1.00"}),
            ("report_job", {PROCESS_TAG: f"{here} {begun}"}),
            ("audit_job", {}),
        )
    ]
    with open_instance() as instance:
        for run in runs:
            instance.add_run(run)
    with open_instance() as instance:
        found = [instance.get_run_by_id(run.run_id) for run in runs]
    assert [run.status.value if run else "" for run in found] == [
        *("FAILURE", "FAILURE"),
        *("STARTED", "STARTED"),
    ]


class DagsterExecutionInterruptedError(BaseException):
    """Called like what Dagster raises wherever the program is when Ctrl-C is typed."""


class InterruptedFinalizer:
    def __del__(self) -> None:
        raise DagsterExecutionInterruptedError


def test_ctrl_c_in_a_finalizer_counts_as_well(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def run(*arguments: object, **options: object) -> object:
        InterruptedFinalizer()
        return None

    monkeypatch.setattr(dg, "execute_job", run)
    with dg.DagsterInstance.ephemeral() as instance, pytest.raises(KeyboardInterrupt):
        run_job(instance)
    assert capfd.readouterr().err == ""
