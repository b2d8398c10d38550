"""The way back and forth: each run of a backlog in another mode, and nothing else changed."""

from collections.abc import Mapping
from pathlib import Path

import dagster as dg
import pytest
from sqlalchemy import Engine, inspect, text

from batch_assets.definitions import build_definitions
from batch_assets.settings import load_settings
from batch_assets.wiring import Endpoints
from batch_assets_local.batch_server.running import RunningServer
from batch_assets_tests.dagster.reading import metadata_of
from batch_assets_tests.factories import make_company, make_requests
from batch_assets_tests.given_wiring import given_wiring

PART = 20
"""Requests that a run may submit, so that the backlog takes several runs."""
MODES = ("optimized", "false", "true", "optimized", "false", "true", "optimized", "optimized")


@pytest.fixture
def job(database_url: str, api: RunningServer, tmp_path: Path) -> dg.JobDefinition:
    """One definition for all runs: nothing is restarted between them."""
    endpoints = Endpoints(
        database_url=database_url,
        dagster_database_url=database_url,
        api_key="sk-test",
        base_url=api.base_url,
        spool_dir=tmp_path / "spool",
        is_local=False,
    )
    settings = load_settings(
        {
            "BATCH_MIN_SIZE": "1",
            "BATCH_RUN_MAX_REQUESTS": str(PART),
            "COMPANY_CACHE_SECONDS": "0",
        }
    )
    definitions = build_definitions(given_wiring(settings, endpoints))
    return definitions.resolve_job_def("batch_processing_job")


def tables(engine: Engine) -> Mapping[str, object]:
    """Every table of both schemas with its columns."""
    found = inspect(engine)
    return {
        f"{schema}.{table}": [column["name"] for column in found.get_columns(table, schema)]
        for schema in ("public", "batch_assets")
        for table in found.get_table_names(schema)
    }


def count(engine: Engine, query: str) -> int:
    with engine.begin() as connection:
        return int(connection.execute(text(query)).scalar_one())


def test_the_mode_changes_in_the_middle_of_a_backlog(
    instance: dg.DagsterInstance, job: dg.JobDefinition, engine: Engine, api: RunningServer
) -> None:
    with engine.begin() as connection:
        companies = [make_company(connection) for _ in range(4)]
        ids = [row for company in companies for row in make_requests(connection, company, 25)]
    before = tables(engine)
    for mode in MODES:
        result = job.execute_in_process(
            instance=instance,
            run_config={"resources": {"query_strategy": {"config": {"mode": mode}}}},
        )
        assert result.success
        assert metadata_of(result, "submit_batches")["query_mode"] == mode
        if mode == "false":
            with engine.begin() as connection:
                ids += make_requests(connection, companies[0], 5)
    assert tables(engine) == before
    complete = """
        SELECT count(*) FROM public."AIProcessingRequest"
        WHERE "processingStatus" = 'PROCESSING_COMPLETE'
    """
    assert count(engine, complete) == len(ids) == 110
    billed = [len(list(api.ledger().entries(custom_id=row))) for row in ids]
    assert billed == [1] * len(ids)
