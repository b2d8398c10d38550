"""Several accounts in Dagster: the job has a partition for each, and one run of each at a time."""

import json
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import Engine, text

from batch_assets.definitions import build_definitions
from batch_assets.resources.run_executor import EXCLUSIVE
from batch_assets.store.company_accounts import CompanyAccounts
from batch_assets_local.batch_server import RunningServer
from batch_assets_tests.factories import make_company, make_requests

JOB = "batch_processing_job"


@pytest.fixture
def accounts(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default account, one called acme, and one whose key is missing."""
    for name, value in {
        "DATABASE_URL": database_url,
        "OPENAI_API_KEY": "sk-default-0123456789",
        "OPENAI_BASE_URL": "http://127.0.0.1:9/v1",
        "BATCH_ACCOUNTS": "acme,empty",
        "OPENAI_API_KEY_ACME": "sk-acme-0123456789",
        "OPENAI_BASE_URL_ACME": "http://127.0.0.1:9/v1",
        "BATCH_MIN_SIZE": "1",
        "BATCH_SPOOL_DIR": str(tmp_path / "spool"),
        "COMPANY_CACHE_SECONDS": "0",
    }.items():
        monkeypatch.setenv(name, value)


def active(instance: dg.DagsterInstance, account: str) -> str:
    """A run of an account that is under way."""
    run = dg.DagsterRun(
        job_name=JOB,
        run_id=str(uuid.uuid4()),
        status=dg.DagsterRunStatus.STARTED,
        tags={"dagster/partition": account},
    )
    return instance.add_run(run).run_id


def test_with_one_account_nothing_has_partitions() -> None:
    definitions = build_definitions()
    for name in (JOB, "flex_job"):
        assert definitions.resolve_job_def(name).partitions_def is None


def test_a_tick_asks_for_a_run_of_each_account_that_has_none(
    accounts: None, instance_in_files: dg.DagsterInstance
) -> None:
    definitions = build_definitions()
    schedule = definitions.resolve_schedule_def("batch_processing_schedule")
    at = datetime(2026, 1, 1, tzinfo=UTC)
    context = dg.build_schedule_context(
        instance=instance_in_files,
        scheduled_execution_time=at,
        repository_def=definitions.get_repository_def(),
    )
    requests = schedule.evaluate_tick(context).run_requests or []
    assert [one.partition_key for one in requests] == ["default", "acme", "empty"]
    assert len({one.run_key for one in requests}) == 3
    run_id = active(instance_in_files, "default")
    try:
        requests = schedule.evaluate_tick(context).run_requests or []
    finally:
        instance_in_files.delete_run(run_id)
    assert [one.partition_key for one in requests] == ["acme", "empty"]


def test_a_sensor_looks_at_each_account_and_keeps_a_cursor_of_each(
    accounts: None, instance_in_files: dg.DagsterInstance, engine: Engine
) -> None:
    with engine.begin() as connection:
        company_id = make_company(connection)
        make_requests(connection, company_id, 3)
        connection.execute(text("UPDATE batch_assets.installation SET confirmed_at = now()"))
    CompanyAccounts(engine).assign(company_id, "acme", "the tests")
    definitions = build_definitions()
    sensor = definitions.resolve_sensor_def("backlog_sensor")

    def tick(cursor: str | None) -> Any:
        with dg.build_sensor_context(
            instance=instance_in_files,
            cursor=cursor,
            repository_def=definitions.get_repository_def(),
        ) as context:
            return sensor.evaluate_tick(context)

    first = tick(None)
    (request,) = first.run_requests or []
    assert request.partition_key == "acme"
    assert str(request.run_key).startswith("acme-due-")
    assert [*json.loads(first.cursor or "")] == ["acme"]
    again = tick(first.cursor)
    assert not again.run_requests
    assert "acme: A run was started for this already" in str(again.skip_message)
    assert "OPENAI_API_KEY_EMPTY is missing" in str(again.skip_message), "others are looked at"


def test_the_run_of_an_account_sends_what_it_serves(
    accounts: None,
    instance: dg.DagsterInstance,
    engine: Engine,
    api: RunningServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("OPENAI_BASE_URL", "OPENAI_BASE_URL_ACME"):
        monkeypatch.setenv(name, api.base_url)
    with engine.begin() as connection:
        own, given = make_company(connection), make_company(connection)
        for company_id in (own, given):
            make_requests(connection, company_id, 3)
        connection.execute(text("UPDATE batch_assets.installation SET confirmed_at = now()"))
    CompanyAccounts(engine).assign(given, "acme", "the tests")
    job = build_definitions().resolve_job_def(JOB)
    kept = text("SELECT company_id, account_name FROM batch_assets.batch")
    sent = []
    tags = []
    for account in ("acme", "default"):
        result = job.execute_in_process(partition_key=account, instance=instance)
        tags.append(result.dagster_run.tags[next(iter(EXCLUSIVE))])
        with engine.connect() as connection:
            sent.append({tuple(row) for row in connection.execute(kept)})
    assert sent == [{(given, "acme")}, {(given, "acme"), (own, "default")}]
    assert tags == ["batch_processing_job/acme", "batch_processing_job"]
