"""The toggle as an operator turns it: by the environment, and for one run in the Launchpad."""

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import Engine, text

from batch_assets.definitions import build_definitions
from batch_assets.domain.errors import ConfigurationError
from batch_assets.ops.failures import clear_failures
from batch_assets.settings import load_settings
from batch_assets.store.counting import statements_sent
from batch_assets.store.strategy import QueryMode, Toggle
from batch_assets.store.strategy.records import PROBED
from batch_assets.wiring import Endpoints
from batch_assets_local.batch_server.running import RunningServer
from batch_assets_tests.dagster.reading import metadata_of
from batch_assets_tests.factories import make_company, make_requests
from batch_assets_tests.given_wiring import given_wiring

Run = Callable[..., dg.ExecuteInProcessResult]

OPS = (
    "check_batch_statuses",
    "ingest_results",
    "retry_failed_requests",
    "fetch_pending_requests",
    "submit_batches",
)
KEYS = {
    "query_mode",
    "query_choice_reason",
    "query_statements",
    "query_rows",
    "database_seconds",
    "query_fallbacks",
    "query_operations",
}


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, Toggle()),
        ({}, Toggle(QueryMode.AUTO)),
        ({"ENABLE_BATCH_OPTIMIZATION": "true"}, Toggle(QueryMode.AUTO)),
        ({"ENABLE_BATCH_OPTIMIZATION": "auto"}, Toggle(QueryMode.AUTO)),
        ({"ENABLE_BATCH_OPTIMIZATION": "false"}, Toggle(QueryMode.ORIGINAL)),
        ({"ENABLE_BATCH_OPTIMIZATION": "0"}, Toggle(QueryMode.ORIGINAL)),
        ({"ENABLE_BATCH_OPTIMIZATION": "original"}, Toggle(QueryMode.ORIGINAL)),
        ({"ENABLE_BATCH_OPTIMIZATION": "optimized"}, Toggle(QueryMode.OPTIMIZED)),
        ({"ENABLE_BATCH_OPERATIONS": "false"}, Toggle(writes_in_sets=False)),
        ({"FALLBACK_ON_ERRORS": "false"}, Toggle(falls_back=False)),
    ],
)
def test_the_environment_turns_it(environ: Mapping[str, str], expected: Toggle) -> None:
    assert load_settings(environ).toggle() == expected


def test_a_wrong_word_is_named() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings({"ENABLE_BATCH_OPTIMIZATION": "automatic"})
    assert str(caught.value) == (
        "ENABLE_BATCH_OPTIMIZATION is 'automatic': it must be true, false or optimized."
    )


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, None),
        ({"MAX_CONCURRENT_COMPANIES": "12"}, 12),
        ({"MAX_CONCURRENT_COMPANIES": "12", "ENABLE_PARALLEL_PROCESSING": "false"}, 1),
    ],
)
def test_the_environment_bounds_how_many_companies_at_one_time(
    environ: Mapping[str, str], expected: int | None
) -> None:
    assert load_settings(environ).policy().concurrent_companies == expected


@pytest.fixture
def run(instance: dg.DagsterInstance, tmp_path: Path, database_url: str, api: RunningServer) -> Run:
    """Runs the job with settings and with what a person types into the Launchpad."""
    endpoints = Endpoints(
        database_url=database_url,
        dagster_database_url=database_url,
        api_key="sk-test",
        base_url=api.base_url,
        spool_dir=tmp_path / "spool",
        is_local=False,
    )

    def run_once(
        environ: Mapping[str, str] | None = None, config: Mapping[str, Any] | None = None
    ) -> dg.ExecuteInProcessResult:
        settings = load_settings({"COMPANY_CACHE_SECONDS": "0", **(environ or {})})
        wiring = given_wiring(settings, endpoints)
        definitions = build_definitions(wiring)
        job = definitions.resolve_job_def("batch_processing_job")
        return job.execute_in_process(run_config=config, instance=instance, raise_on_error=False)

    return run_once


@pytest.fixture
def waiting(engine: Engine) -> list[str]:
    """Requests that are due."""
    with engine.begin() as connection:
        return make_requests(connection, make_company(connection), 12)


def report_of(result: dg.ExecuteInProcessResult, op: str) -> dict[str, Any]:
    """What an op says of its operations on the database."""
    found = metadata_of(result, op)
    assert found.keys() >= KEYS
    return {key: found[key] for key in KEYS}


def launchpad(mode: str) -> dict[str, Any]:
    return {"resources": {"query_strategy": {"config": {"mode": mode}}}}


def history(engine: Engine) -> list[Any]:
    with engine.begin() as connection:
        query = "SELECT * FROM batch_assets.operation_run ORDER BY id"
        return list(connection.execute(text(query)))


PATIENCE_SECONDS = 120
ROW_BY_ROW = {"ENABLE_BATCH_OPTIMIZATION": "false"}
IN_SETS = {"ENABLE_BATCH_OPTIMIZATION": "optimized"}


@pytest.mark.usefixtures("waiting")
@pytest.mark.parametrize(
    ("environ", "config", "reason"),
    [
        (IN_SETS, None, "optimized: asked for in the environment"),
        (ROW_BY_ROW, None, "original: asked for in the environment"),
        (ROW_BY_ROW, launchpad("environment"), "original: asked for in the environment"),
        (ROW_BY_ROW, launchpad("optimized"), "optimized: asked for in the Launchpad"),
        ({}, launchpad("false"), "original: asked for in the Launchpad"),
        ({}, launchpad("original"), "original: asked for in the Launchpad"),
    ],
)
def test_a_run_says_what_it_used_and_keeps_what_it_measured(
    run: Run,
    engine: Engine,
    environ: Mapping[str, str],
    config: Mapping[str, Any] | None,
    reason: str,
) -> None:
    used = reason.partition(":")[0]
    result = run(environ, config)
    assert result.success
    reports = {op: report_of(result, op) for op in OPS}
    mode = {"original": "false", "optimized": "optimized"}[used]
    assert {report["query_mode"] for report in reports.values()} == {mode}
    submitted = reports["submit_batches"]
    assert submitted["query_choice_reason"] == reason
    claim = submitted["query_operations"]["claim"]
    assert (claim["implementation"], claim["calls"], claim["rows"]) == (used, 1, 12)
    assert submitted["query_statements"] > claim["statements"] > 0
    assert submitted["query_fallbacks"] == 0
    assert json.dumps(submitted["query_operations"])
    kept = history(engine)
    assert {row.run_id for row in kept} == {result.run_id}
    assert {row.implementation for row in kept} == {used}
    reported = sum(report["query_statements"] for report in reports.values())
    loaded = sum(row.statements for row in kept if row.operation == "active_companies")
    assert sum(row.statements for row in kept) == reported + loaded


def test_an_idle_run_says_it_too(run: Run) -> None:
    result = run()
    for op in OPS:
        assert report_of(result, op)["query_fallbacks"] == 0


@pytest.mark.usefixtures("waiting")
@pytest.mark.parametrize(
    ("environ", "config"),
    [({}, None), (ROW_BY_ROW, launchpad("true")), (ROW_BY_ROW, launchpad("auto"))],
)
def test_by_default_each_operation_has_its_reason(
    run: Run, engine: Engine, environ: Mapping[str, str], config: Mapping[str, Any] | None
) -> None:
    result = run(environ, config)
    report = report_of(result, "submit_batches")
    assert report["query_mode"] == "true"
    assert "the original was not measured beside it" in report["query_choice_reason"]
    with engine.begin() as connection:
        choices = connection.execute(text("SELECT * FROM batch_assets.operation_choice")).all()
    assert {row.operation for row in choices} >= {"claim", "pending_by_company"}


def test_the_launchpad_asks_for_quotes_where_yaml_sees_no_word() -> None:
    job = build_definitions().resolve_job_def("batch_processing_job")
    config = {"resources": {"query_strategy": {"config": {"mode": True}}}}
    with pytest.raises(dg.DagsterInvalidConfigError, match="must be a string"):
        dg.validate_run_config(job, config)


@pytest.mark.parametrize("operation", ["pending_by_company", "rows_of"])
def test_the_budget_of_statements_holds_with_a_probe(
    run: Run, instance: dg.DagsterInstance, engine: Engine, operation: str
) -> None:
    with engine.begin() as connection:
        for _ in range(30):
            make_requests(connection, make_company(connection), 10)
        for other in PROBED - {operation}:
            connection.execute(
                text(
                    "INSERT INTO batch_assets.operation_run (run_id, operation, implementation,"
                    " purpose, calls, failures, fallbacks, seconds, statements, rows)"
                    " VALUES ('', :other, 'original', 'probe', 1, 0, 0, 1, 1, 1)"
                ),
                {"other": other},
            )
    moved, give_up_at = 0, time.monotonic() + PATIENCE_SECONDS
    while moved < 600:
        assert time.monotonic() < give_up_at
        before = statements_sent()
        result = run({"BATCH_MIN_SIZE": "1"})
        sent = statements_sent() - before
        found = instance.get_run_by_id(result.run_id)
        assert found is not None
        tags = {name: int(found.tags[f"batch_assets/{name}"]) for name in ("requests", "results")}
        moved += sum(tags.values())
        batches = sum(tags.values()) / 10
        assert sent <= 40 + 2 * sum(tags.values()) / 1_000 + batches / 20
    assert run().success
    probed = [row for row in history(engine) if row.run_id and row.purpose == "probe"]
    assert {(row.operation, row.implementation): row.statements for row in probed} == {
        (operation, "original"): 1,
        (operation, "optimized"): 0,
    }

    known = {"COMPANY_CACHE_SECONDS": "300"}
    assert run(known).success
    before = statements_sent()
    assert run(known).success
    assert statements_sent() - before <= 10


@pytest.mark.usefixtures("waiting")
def test_a_fallback_is_seen_in_the_run(
    run: Run, instance: dg.DagsterInstance, engine: Engine
) -> None:
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE batch_assets.intake_progress"))
    result = run()
    assert result.success
    report = report_of(result, "fetch_pending_requests")
    assert report["query_fallbacks"] == 1
    noticed = report["query_operations"]["notice_pending"]
    assert (noticed["calls"], noticed["failures"], noticed["rows"]) == (1, 1, 12)
    assert metadata_of(result, "submit_batches")["requests"] == 12
    said = [record.user_message for record in instance.all_logs(result.run_id)]
    assert any("did again what failed" in line and "notice_pending" in line for line in said)
    kept = {
        row.implementation: (row.calls, row.failures, row.fallbacks)
        for row in history(engine)
        if row.operation == "notice_pending"
    }
    assert kept == {"optimized": (1, 1, 1), "original": (1, 0, 0)}


@pytest.mark.usefixtures("waiting")
def test_without_the_fallback_the_op_fails(run: Run, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE batch_assets.intake_progress"))
    result = run({"FALLBACK_ON_ERRORS": "false"})
    assert not result.success


def test_a_copy_that_is_refused_is_told_without_the_row(engine: Engine) -> None:
    canary = "canary-91ba"
    with engine.connect() as connection:
        driver_connection: Any = connection.connection.driver_connection
        connection.execute(text("CREATE TEMPORARY TABLE staging (number integer)"))
        with pytest.raises(dg.Failure) as caught, clear_failures():
            copy_in(driver_connection, canary)
    description = str(caught.value.description)
    assert "InvalidTextRepresentation (SQLSTATE 22P02" in description
    assert canary not in description


def copy_in(driver_connection: Any, word: str) -> None:
    with (
        driver_connection.cursor() as cursor,
        cursor.copy("COPY staging (number) FROM STDIN") as copy,
    ):
        copy.write_row((word,))
