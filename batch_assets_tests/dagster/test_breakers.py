"""The job with a server that is not well: what one run learns, the next one goes by."""

from sqlalchemy import Engine, text

from batch_assets_local.batch_server import RunningServer
from batch_assets_tests.dagster.conftest import RunJob
from batch_assets_tests.dagster.reading import failed_ops, metadata_of
from batch_assets_tests.factories import make_company, make_requests

CAUTIOUS = {"BATCH_BREAKER_FAILURES": "1"}


def test_a_run_submits_nothing_while_a_breaker_is_open(
    run_job: RunJob, api: RunningServer, engine: Engine, database_url: str
) -> None:
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE batch_assets.installation SET confirmed_at = CURRENT_TIMESTAMP")
        )
        make_requests(connection, make_company(connection), 12)
    api.set_config(
        {"calls": [{"operation": "files.create", "effect": {"kind": "answer", "status": 503}}]}
    )
    first = run_job(database_url, base_url=api.base_url, environ=CAUTIOUS)
    assert metadata_of(first, "submit_batches")["unresolved"] == 1
    with engine.begin() as connection:
        make_requests(connection, make_company(connection), 12)

    second = run_job(database_url, base_url=api.base_url, environ=CAUTIOUS)

    assert failed_ops(second) == set(), "what can be done is done, and no alarm is raised"
    submitted = metadata_of(second, "submit_batches")
    assert submitted["unresolved"] == 0
    assert str(submitted["held_because"]).startswith(
        "The API is not asked to take files now: the last call failed (server_error) and none"
    )
    with engine.begin() as connection:
        assert connection.execute(text("SELECT state FROM batch_assets.breaker")).all() == [
            ("open",)
        ]
