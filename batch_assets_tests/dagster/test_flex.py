"""A run of the job that sends by flex: beside all others, and counted."""

import dagster as dg
import pytest
from sqlalchemy import Engine

from batch_assets.definitions import defs
from batch_assets.openai_batch.operations import Timeouts
from batch_assets.resources.run_executor import EXCLUSIVE, WATCHED
from batch_assets.store.strategy import choose_queries
from batch_assets.store.synchronous_requests import SynchronousRequests
from batch_assets_local.batch_server import RunningServer
from batch_assets_tests.dagster.conftest import RunJob
from batch_assets_tests.dagster.reading import metadata_of
from batch_assets_tests.factories import make_company, make_requests
from batch_assets_tests.store.queries.support import Desk

MODEL = "gpt-5-mini"
ALLOWED = {"BATCH_SYNCHRONOUS_RETRIES": "true", "BATCH_FLEX_MODELS": MODEL}


def test_its_runs_wait_for_no_other_and_have_time_for_a_call() -> None:
    tags = defs.resolve_job_def("flex_job").tags
    assert not EXCLUSIVE.keys() & tags.keys()
    assert WATCHED.items() <= tags.items()
    assert float(tags["dagster/max_runtime"]) > Timeouts().flex >= 20 * 60


def test_it_sends_what_is_asked_for_and_keeps_its_figures(
    run_job: RunJob, database_url: str, engine: Engine, api: RunningServer
) -> None:
    desk = Desk(engine, choose_queries(engine, optimized=True))
    desk.do("UPDATE batch_assets.installation SET confirmed_at = CURRENT_TIMESTAMP")
    with engine.begin() as connection:
        company_id = make_company(connection)
        ids = make_requests(connection, company_id, 2, model=MODEL)
    desk.do(
        "INSERT INTO batch_assets.synchronous_request (request_id, company_id, asked_by)"
        " SELECT unnest(CAST(:ids AS text[])), :company, 'somebody'",
        ids=ids,
        company=company_id,
    )

    def run(job_name: str = "flex_job") -> dg.ExecuteInProcessResult:
        return run_job(database_url, job_name=job_name, base_url=api.base_url, environ=ALLOWED)

    sent = run()
    assert sent.success
    did = metadata_of(sent, "send_flex_requests")
    assert (did["synchronous_calls"], did["synchronous_completed"]) == (2, 2)
    assert [one.service_tier for one in api.ledger().entries()] == ["flex", "flex"]
    kept = "SELECT * FROM batch_assets.run_metric WHERE run_id = :run_id"
    (row,) = desk.rows(kept, run_id=sent.run_id)
    assert row.cost_eur == pytest.approx(did["synchronous_cost_eur"])
    assert (row.completed_requests, row.synchronous_requests) == (2, 2)
    assert row.saved_eur == pytest.approx(row.cost_eur)
    assert (row.unknown_calls_percent, row.indeterminate_failures) == (0, 0)

    idle = run()
    assert metadata_of(idle, "send_flex_requests")["synchronous_batches"] == 0
    assert desk.rows(kept, run_id=idle.run_id) == []
    assert SynchronousRequests(engine).standing().today_requests == 2

    desk.do(
        "UPDATE batch_assets.attempt SET code = 'indeterminate_live', outcome = 'failed'"
        " WHERE request_id = :id",
        id=ids[0],
    )
    (main,) = desk.rows(kept, run_id=run("batch_processing_job").run_id)
    assert main.unknown_calls_percent == 50
    assert main.day_cost_eur == pytest.approx(row.cost_eur)
