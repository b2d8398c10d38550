"""The job and the audit prove that nothing was lost, and their checks name what was."""

from collections.abc import Callable
from functools import partial
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import Engine, text

from batch_assets.domain.conservation import Violation
from batch_assets.ops.check_results import ASSET
from batch_assets_local.batch_server import RunningServer
from batch_assets_tests.dagster.conftest import RunJob
from batch_assets_tests.dagster.reading import (
    evaluations,
    failed_ops,
    failure_of,
    metadata_of,
    numbers_of,
    plots_of,
)
from batch_assets_tests.factories import make_company, make_requests

Run = Callable[..., dg.ExecuteInProcessResult]


@pytest.fixture
def run(run_job: RunJob, database_url: str, api: RunningServer) -> Run:
    return partial(run_job, database_url, base_url=api.base_url)


def checked(result: dg.ExecuteInProcessResult) -> dg.AssetCheckEvaluation:
    """The only evaluation of a check of row conservation in a run."""
    (said,) = [one for one in evaluations(result).values() if one.asset_key == ASSET]
    return said


def numbers(said: dg.AssetCheckEvaluation) -> dict[str, object]:
    return numbers_of(said.metadata)


def violations(said: dg.AssetCheckEvaluation) -> dict[str, dict[str, object]]:
    """The table of violations, by kind."""
    return {str(record["kind"]): record for record in records(said.metadata["violations"])}


def records(table: dg.MetadataValue[Any]) -> list[dict[str, object]]:
    assert isinstance(table, dg.TableMetadataValue)
    return [dict(record.data) for record in table.records]


def add_requests(engine: Engine, count: int) -> list[str]:
    with engine.begin() as connection:
        return make_requests(connection, make_company(connection), count)


def test_an_idle_a_busy_and_a_broken_run(run: Run, engine: Engine) -> None:
    idle = checked(run())
    assert idle.passed
    assert idle.check_name == "open_rows_conserved"
    assert set(numbers(idle).values()) == {0}
    assert set(map(str, Violation)) < set(numbers(idle))

    add_requests(engine, 10)
    busy_run = run()
    busy = checked(busy_run)
    assert busy.passed, busy.description
    assert numbers(busy).keys() == numbers(idle).keys()
    assert (numbers(busy)["rows_in_batch"], numbers(busy)["open_attempts"]) == (10, 10)
    told = metadata_of(busy_run, "check_row_conservation")
    assert told.items() >= numbers(busy).items()

    with engine.begin() as connection:
        batch_id = connection.execute(
            text("UPDATE batch_assets.batch SET completed = 1 RETURNING id")
        ).scalar_one()
    broken_run = run()
    assert broken_run.success
    broken = checked(broken_run)
    assert not broken.passed
    assert broken.severity is dg.AssetCheckSeverity.ERROR
    assert violations(broken)["batch_counters"]["ids"] == batch_id
    assert "report it" in str(violations(broken)["batch_counters"]["what_to_do"])
    assert "batch_counters: 1." in str(broken.description)
    assert broken.metadata["misfits"] == broken.metadata["violations"], "its former name"


def test_it_is_proved_after_a_run_that_fails(
    run_job: RunJob, database_url: str, engine: Engine
) -> None:
    add_requests(engine, 10)
    result = run_job(database_url)  # with no server to send to
    assert failed_ops(result) & {"check_batch_statuses", "submit_batches"}
    assert checked(result).passed


def test_the_audit_counts_every_row(run: Run, engine: Engine, instance: dg.DagsterInstance) -> None:
    ids = add_requests(engine, 12)
    add_requests(engine, 3)
    run()
    result = run(job_name="audit_job")
    said = checked(result)
    assert said.passed, said.description
    assert said.check_name == "all_rows_conserved"
    counted = numbers(said)
    assert (counted["rows"], counted["in_batch"], counted["waiting"]) == (15, 12, 3)
    (event,) = result.asset_materializations_for_node("clear_orphans")
    looked = numbers_of(event.metadata)
    assert (looked["duplicates"], looked["orphans_deleted"], looked["unknown"]) == (0, 0, 0)
    assert looked["strays_deleted"] == 0, "for one version, under its former name"
    assert not {"query_statements", "query_fallbacks"} & set(plots_of(event.metadata))
    assert (looked["query_statements"], looked["query_fallbacks"]) == (0, 0)
    (materialized,) = result.asset_materializations_for_node("audit_rows")
    companies = records(materialized.metadata["companies"])
    assert set(plots_of(materialized.metadata)) < set(numbers_of(materialized.metadata))
    assert [(company["rows"], company["adds_up"]) for company in companies] == [
        (12, "yes"),
        (3, "yes"),
        (15, "yes"),
    ]

    with engine.begin() as connection:
        connection.execute(
            text('UPDATE public."AIProcessingRequest" SET "batchId" = NULL WHERE id = :id'),
            {"id": ids[3]},
        )
    broken = checked(run(job_name="audit_job"))
    assert not broken.passed
    assert violations(broken)["in_batch_without_batch"]["ids"] == ids[3]
    assert numbers(broken)["companies_not_adding_up"] == 1
    key = dg.AssetCheckKey(ASSET, "all_rows_conserved")
    history = instance.event_log_storage.get_asset_check_execution_history(key, limit=5)
    assert [record.status.value for record in history] == ["FAILED", "SUCCEEDED"]


@pytest.mark.parametrize("check", ["open_rows_conserved", "all_rows_conserved"])
def test_each_check_can_be_asked_by_itself(run: Run, check: str) -> None:
    said = checked(run(job_name="__ASSET_JOB", checks=[check]))
    assert said.passed
    assert said.check_name == check


def test_an_audit_without_the_api_still_counts(run_job: RunJob, database_url: str) -> None:
    result = run_job(database_url, job_name="audit_job")
    assert failed_ops(result) == {"clear_orphans"}
    assert "The API did not answer as it should" in failure_of(result, "clear_orphans")
    assert checked(result).passed
