"""A run deletes the files of finished batches last, once all that people wait for is done."""

from collections.abc import Callable, Mapping
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import Engine, text

from batch_assets.openai_batch.client import BatchApi
from batch_assets.ops import main_path
from batch_assets_local.batch_server import RunningServer, ServerConfig
from batch_assets_tests.dagster.conftest import RunJob
from batch_assets_tests.dagster.reading import failed_ops, metadata_of
from batch_assets_tests.factories import make_company, make_requests
from batch_assets_tests.waiting import let_batches_end

COMPANIES, REQUESTS = 4, 10
OP = "delete_batch_files"

Run = Callable[[], dg.ExecuteInProcessResult]


def add_requests(engine: Engine) -> None:
    """As many companies as have something to be read have something to be sent then."""
    with engine.begin() as connection:
        for _ in range(COMPANIES):
            make_requests(connection, make_company(connection), REQUESTS)


def seen_now(engine: Engine) -> Mapping[str, Any]:
    """What is done at this moment of all that people wait for."""
    with engine.connect() as connection:
        row = connection.execute(
            text(
                "SELECT sum(b.completed) AS results,"
                " count(*) FILTER (WHERE b.state = 'submitted') AS batches_in_flight,"
                " (SELECT count(*) FROM batch_assets.run_metric AS m) AS runs_recorded,"
                " count(*) FILTER (WHERE b.files_deleted_at IS NOT NULL) AS batches_deleted "
                "FROM batch_assets.batch AS b"
            )
        ).one()
    return dict(row._mapping)


@pytest.fixture
def run(run_job: RunJob, database_url: str, engine: Engine, api: RunningServer) -> Run:
    """Run the job in a world in which something waits to be read, and something to be sent."""

    def once() -> dg.ExecuteInProcessResult:
        return run_job(database_url, base_url=api.base_url)

    add_requests(engine)
    assert once().success
    let_batches_end(api.base_url)
    add_requests(engine)
    return once


def test_the_first_file_is_deleted_when_all_that_people_wait_for_is_done(
    run: Run, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    before: list[Mapping[str, Any]] = []
    delete = BatchApi.delete_file

    def watched(api: BatchApi, file_id: str) -> bool:
        before.append(seen_now(engine))
        return delete(api, file_id)

    monkeypatch.setattr(BatchApi, "delete_file", watched)
    result = run()
    assert failed_ops(result) == set()
    assert len(before) == 2 * COMPANIES, "an input and an output file of each batch"
    assert before[0] == {
        "results": COMPANIES * REQUESTS,
        "batches_in_flight": COMPANIES,
        "runs_recorded": 2,
        "batches_deleted": 0,
    }
    assert metadata_of(result, OP)["batches_with_deleted_files"] == COMPANIES
    assert seen_now(engine)["batches_deleted"] == COMPANIES
    monkeypatch.undo()
    assert metadata_of(run(), OP)["batches_with_deleted_files"] == 0


def test_files_are_deleted_though_submitting_fails(
    run: Run, engine: Engine, api: RunningServer
) -> None:
    refused = {"operation": "files.create", "effect": {"kind": "answer", "status": 403}}
    api.set_config(ServerConfig.instant(calls=[refused]))
    result = run()
    assert failed_ops(result) == {"submit_batches"}
    assert metadata_of(result, OP)["batches_with_deleted_files"] == COMPANIES


def test_files_are_deleted_though_submissions_are_held(run: Run, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO batch_assets.breaker"
                " (operation, state, failures, code, reason, retry_at, changed_at) VALUES"
                " ('upload', 'open', 5, 'server_error', 'HTTP 500',"
                "  now() + interval '1 hour', now())"
            )
        )
    result = run()
    assert result.success
    assert metadata_of(result, "submit_batches")["held_because"]
    assert metadata_of(result, OP)["batches_with_deleted_files"] == COMPANIES


def test_files_that_the_server_does_not_delete_are_no_failure_and_left_to_the_next_run(
    run: Run, api: RunningServer
) -> None:
    unwell = {"kind": "answer", "status": 500, "headers": {"retry-after-ms": "1"}}
    api.set_config(ServerConfig.instant(calls=[{"operation": "files.delete", "effect": unwell}]))
    result = run()
    assert result.success
    assert metadata_of(result, OP)["batches_with_deleted_files"] == 0
    api.set_config(ServerConfig.instant())
    assert int(str(metadata_of(run(), OP)["batches_with_deleted_files"])) >= COMPANIES


def test_a_run_that_is_ended_before_leaves_them_to_the_next_one(
    run: Run, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(*_arguments: Any) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as during:
        during.setattr(main_path, "delete_leftovers", end)
        assert failed_ops(run()) == {OP}
    done = seen_now(engine)
    assert (done["results"], done["runs_recorded"]) == (COMPANIES * REQUESTS, 2)
    assert done["batches_deleted"] == 0
    result = run()
    assert metadata_of(result, OP)["batches_with_deleted_files"] == COMPANIES
