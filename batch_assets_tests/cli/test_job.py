"""Runs that died with their process are given up, and Ctrl-C ends a run whenever it comes."""

import os
import signal
import socket

import dagster as dg
import psutil
import pytest
from dagster._utils.interrupts import capture_interrupts

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


def test_ctrl_c_after_the_last_op_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_arguments: object, **_options: object) -> None:
        with capture_interrupts():
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(dg, "execute_job", run)
    with dg.DagsterInstance.ephemeral() as instance, pytest.raises(KeyboardInterrupt):
        run_job(instance)
