"""The whole job, in this process, on a real PostgreSQL and a real Batch API server."""

import logging
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import dagster as dg
import pytest
from sqlalchemy import Engine, text

from batch_assets.domain.lookups import CompanyStatistics
from batch_assets.store.engine import open_engine
from batch_assets.store.migrate import upgrade
from batch_assets.store.original import OriginalQueries
from batch_assets_local.batch_server import RunningServer, ServerConfig
from batch_assets_tests.dagster.conftest import ANSWER, RunJob
from batch_assets_tests.dagster.reading import (
    everything_stored,
    failed_ops,
    metadata_of,
)
from batch_assets_tests.factories import make_company, make_requests
from batch_assets_tests.transaction_pooler import transaction_pooler

ORDER = [
    "check_batch_statuses",
    "ingest_results",
    "retry_failed_requests",
    "load_companies",
    "fetch_pending_requests",
    "submit_batches",
    "record_metrics",
    "check_row_conservation",
    "evaluate_checks",
    "delete_batch_files",
]
CANARY = "canary-7d41"
PATIENCE_SECONDS = 60


def add_requests(engine: Engine, count: int, *, status: str = "ACTIVE") -> str:
    with engine.begin() as connection:
        company_id = make_company(connection, status=status)
        make_requests(
            connection, company_id, count, messages=[("user", f"Mag ik {CANARY} vrijdag vrij?")]
        )
    return company_id


def state_of(engine: Engine, company_id: str) -> CompanyStatistics:
    (found,) = [one for one in OriginalQueries(engine).statistics() if one.company_id == company_id]
    return found


def answer_with(status: int, *operations: str) -> ServerConfig:
    effect = {"kind": "answer", "status": status}
    return ServerConfig.instant(
        calls=[{"operation": operation, "effect": effect} for operation in operations]
    )


@dataclass(frozen=True)
class World:
    """A database that may be submitted from, a server, and the job on both."""

    engine: Engine
    api: RunningServer
    run: Callable[[], dg.ExecuteInProcessResult]

    def run_until_complete(self, company_id: str) -> dg.ExecuteInProcessResult:
        """Run the job until a company's requests are complete; the last run."""
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < give_up_at:
            result = self.run()
            if state_of(self.engine, company_id).in_batch == 0:
                return result
        raise AssertionError("the job leaves requests in a batch")


@pytest.fixture
def world(run_job: RunJob, database_url: str, engine: Engine, api: RunningServer) -> World:
    return World(engine, api, partial(run_job, database_url, base_url=api.base_url))


def test_pending_requests_become_analyses(
    world: World, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    company_id = add_requests(world.engine, 12)
    suspended_id = add_requests(world.engine, 11, status="SUSPENDED")
    first = world.run()
    assert first.success
    assert [event.step_key for event in first.get_step_success_events()] == ORDER
    assert metadata_of(first, "load_companies") == {
        "active_companies": 1,
        "lookup_hits": 0,
        "lookup_misses": 1,
        "lookup_refreshes": 0,
        "lookup_age_seconds": 0.0,
        "lookup_wait_seconds": 0.0,
        "lookup_bytes": 0,
    }
    assert metadata_of(first, "submit_batches")["requests"] == 12
    assert state_of(world.engine, company_id).in_batch == 12
    assert stat.S_IMODE((tmp_path / "spool").stat().st_mode) == 0o700

    last = world.run_until_complete(company_id)

    assert last.success
    assert metadata_of(last, "ingest_results")["completed"] == 12
    retried = metadata_of(last, "retry_failed_requests")
    assert (retried["requeued"], retried["synchronous_calls"], retried["synchronous_held"]) == (
        0,
        0,
        {},
    )
    done = state_of(world.engine, company_id)
    assert (done.complete, done.waiting, done.in_batch) == (12, 0, 0)
    assert done.cost_eur > 0
    untouched = state_of(world.engine, suspended_id)
    assert (untouched.sessions, untouched.in_batch, untouched.complete) == (11, 0, 0)
    assert world.api.ledger().totals().requests == 12
    assert world.api.ledger().repeated() == {}
    with world.engine.connect() as connection:
        analyses = connection.execute(
            text(
                'SELECT DISTINCT language, sentiment, category, "forwardedHr", summary '
                'FROM "Session" WHERE "companyId" = :company'
            ),
            {"company": company_id},
        ).all()
    assert [tuple(row) for row in analyses] == [
        ("nl", "POSITIVE", "SCHEDULE_HOURS", True, ANSWER["summary"])
    ]
    for run in (first, last):
        assert CANARY not in everything_stored(instance, run.run_id)


def test_unknown_processing_types_are_sent_with_a_warning(
    world: World, instance: dg.DagsterInstance
) -> None:
    with world.engine.begin() as connection:
        company_id = make_company(connection)
        make_requests(connection, company_id, 10, processing_type="horo\x1b[31mscope")
    sending = world.run()
    assert metadata_of(sending, "submit_batches")["unknown_types"] == {"horo\\x1b[31mscope": 10}
    (warning,) = [
        record.event_log_entry
        for record in instance.get_records_for_run(sending.run_id, limit=10_000).records
        if "unknown processing type" in record.event_log_entry.user_message
    ]
    assert warning.level == logging.WARNING
    assert world.run_until_complete(company_id).success
    assert state_of(world.engine, company_id).complete == 10


def test_results_are_read_while_uploads_are_refused(world: World) -> None:
    paid = add_requests(world.engine, 10)
    assert world.run().success
    world.api.set_config(answer_with(403, "files.create"))
    waiting = add_requests(world.engine, 10)
    result = world.run_until_complete(paid)
    assert failed_ops(result) == {"submit_batches"}
    assert state_of(world.engine, paid).complete == 10
    assert state_of(world.engine, waiting).waiting == 10


def test_requests_are_submitted_while_statuses_cannot_be_read(world: World) -> None:
    add_requests(world.engine, 10)
    assert world.run().success
    world.api.set_config(answer_with(400, "batches.retrieve", "batches.list"))
    second = add_requests(world.engine, 10)
    result = world.run()
    assert failed_ops(result) == {"check_batch_statuses"}
    assert state_of(world.engine, second).in_batch == 10


def test_nothing_is_submitted_before_an_operator_has_confirmed(
    run_job: RunJob, livedash_database_url: str, api: RunningServer
) -> None:
    upgrade(livedash_database_url)
    engine = open_engine(livedash_database_url)
    company_id = add_requests(engine, 10)
    result = run_job(livedash_database_url, base_url=api.base_url)
    assert result.success
    assert "batch-assets confirm" in str(metadata_of(result, "submit_batches")["held_because"])
    (shown,) = [
        event.materialization.metadata["overview"].value
        for event in result.get_asset_materialization_events()
        if event.materialization.asset_key.path == ["overview"]
    ]
    assert "## Attention" in str(shown)
    assert "then run `batch-assets confirm` to allow it" in str(shown)
    assert state_of(engine, company_id).waiting == 10
    assert api.ledger().totals().requests == 0
    engine.dispose()


def test_a_pooler_in_transaction_mode_will_do(
    run_job: RunJob, database_url: str, engine: Engine, api: RunningServer
) -> None:
    company_id = add_requests(engine, 10)
    with transaction_pooler(database_url) as pooled:
        world = World(engine, api, partial(run_job, pooled, base_url=api.base_url))
        assert world.run().success
        assert world.run_until_complete(company_id).success
    assert state_of(engine, company_id).complete == 10
