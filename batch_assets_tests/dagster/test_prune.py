"""Old history goes, in bounded steps, and nothing else does: on Dagster's PostgreSQL storage."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import dagster as dg
import pytest
from sqlalchemy import Engine, text

from batch_assets.definitions import build_definitions
from batch_assets.resources.history import DagsterRuns, open_history
from batch_assets.settings import load_settings
from batch_assets.stages import prune as stage
from batch_assets.stages.pipeline import Budget
from batch_assets.store.dagster_schema import create_dagster_schema
from batch_assets.wiring import Endpoints
from batch_assets_tests.dagster.reading import metadata_of
from batch_assets_tests.factories import make_company, make_requests
from batch_assets_tests.given_wiring import given_wiring

KEPT = ("attempt", "batch", "dead_letter", "intake", "retry")
STORAGE = {
    "storage": {
        "custom": {
            "module": "batch_assets.resources.dagster_storage",
            "class": "WiredPostgresStorage",
        }
    }
}


@dg.op
def look(context: dg.OpExecutionContext) -> None:
    context.log_event(dg.AssetMaterialization("backlog", metadata={"waiting_requests": 1}))
    context.log_event(
        dg.AssetCheckEvaluation(asset_key=dg.AssetKey("backlog"), check_name="low", passed=True)  # type: ignore[arg-type] # Dagster takes it
    )


@dg.job(executor_def=dg.in_process_executor)
def watching() -> None:
    look()


@pytest.fixture
def endpoints(database_url: str, tmp_path: Path) -> Endpoints:
    return Endpoints(
        database_url=database_url,
        dagster_database_url=database_url,
        api_key="sk-test",
        base_url="http://127.0.0.1:9/v1",
        spool_dir=tmp_path / "spool",
        is_local=False,
    )


@pytest.fixture
def instance(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dg.DagsterInstance]:
    """Dagster's instance on the test's own database."""
    create_dagster_schema(database_url)
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    with dg.instance_for_test(overrides=STORAGE, temp_dir=str(tmp_path)) as made:
        yield made


def age(engine: Engine, run_ids: list[str], days: int) -> None:
    """Let runs have ended, and their evaluations been made, so many days ago."""
    with engine.begin() as connection:
        for table, column in (
            ("runs", "update_timestamp"),
            ("asset_check_executions", "create_timestamp"),
        ):
            connection.execute(
                text(
                    f"UPDATE dagster.{table} SET {column} = {column} - make_interval(days => :days)"
                    " WHERE run_id = ANY(:ids)"
                ),
                {"ids": run_ids, "days": days},
            )


def measured(engine: Engine, days: int, runs: int) -> None:
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO batch_assets.operation_run (run_id, operation, implementation,"
                " purpose, calls, failures, fallbacks, seconds, statements, rows, recorded_at)"
                " SELECT 'x', 'claim', 'optimized', 'work', 1, 0, 0, 1, 1, 1,"
                " now() - make_interval(days => :days) FROM generate_series(1, :runs)"
            ),
            {"days": days, "runs": runs},
        )


def counted(engine: Engine, *tables: str) -> dict[str, int]:
    with engine.connect() as connection:
        return {
            table: connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()
            for table in tables
        }


def run_prune(
    instance: dg.DagsterInstance, endpoints: Endpoints, *, dry_run: bool
) -> dict[str, Any]:
    settings = load_settings({"BATCH_MONITORING_RETENTION_DAYS": "10"})
    definitions = build_definitions(given_wiring(settings, endpoints))
    result = definitions.resolve_job_def("prune_job").execute_in_process(
        instance=instance,
        run_config={"ops": {"prune_history": {"config": {"dry_run": dry_run}}}},
    )
    return metadata_of(result, "prune_history")


def test_what_is_old_goes_and_a_dry_run_only_counts_it(
    instance: dg.DagsterInstance, endpoints: Endpoints, engine: Engine
) -> None:
    ours = [f"batch_assets.{table}" for table in KEPT]
    with engine.begin() as connection:
        make_requests(connection, make_company(connection), 3)
    old = [watching.execute_in_process(instance=instance).run_id for _ in range(3)]
    new = watching.execute_in_process(instance=instance).run_id
    active = str(uuid4())
    instance.add_run(
        dg.DagsterRun(job_name="watching", run_id=active, status=dg.DagsterRunStatus.STARTED)
    )
    for _ in range(2):
        instance.report_runless_asset_event(dg.AssetMaterialization("by_hand"))
    age(engine, [*old, active], 11)
    with engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE dagster.event_logs SET timestamp = timestamp - interval '11 d'"
                " WHERE run_id = ''"
            )
        )
    measured(engine, days=11, runs=7)
    measured(engine, days=9, runs=2)
    before = counted(engine, *ours)

    said = run_prune(instance, endpoints, dry_run=True)
    assert said["dry_run"] is True
    expected = {
        "run_metrics": 0,
        "operation_measurements": 7,
        "dagster_runs": 3,
        "check_evaluations": 3,
        "events_outside_runs": 1,
    }
    assert {key: said[key] for key in expected} == expected
    assert instance.get_run_by_id(old[0]) is not None

    said = run_prune(instance, endpoints, dry_run=False)
    assert {key: said[key] for key in expected} == expected
    assert said["is_complete"] is True
    assert [instance.get_run_by_id(one) for one in old] == [None] * 3
    assert all(instance.get_run_by_id(one) for one in (new, active))
    left = counted(engine, "batch_assets.operation_run", "dagster.asset_check_executions")
    assert left == {"batch_assets.operation_run": 2, "dagster.asset_check_executions": 1}
    with engine.connect() as connection:
        events = connection.execute(
            text("SELECT count(*) FROM dagster.event_logs WHERE run_id = ANY(:ids)"), {"ids": old}
        ).scalar_one()
    assert events == 0
    assert not any(Path(instance.storage_directory(), one).exists() for one in old)
    assert counted(engine, *ours) == before

    again = run_prune(instance, endpoints, dry_run=False)
    assert not any(again[key] for key in expected)


def test_the_run_that_an_asset_shows_stays_however_old(
    instance: dg.DagsterInstance, engine: Engine
) -> None:
    ids = [watching.execute_in_process(instance=instance).run_id for _ in range(3)]
    age(engine, ids, 400)
    runs = DagsterRuns(instance)
    before = datetime.now(UTC) - timedelta(days=30)
    assert runs.count(before) == 2
    assert runs.delete(before, limit=1) == 1
    assert [instance.get_run_by_id(one) is None for one in ids] == [True, False, False]
    assert runs.delete(before, limit=9) == 1
    assert runs.delete(before, limit=9) == runs.count(before) == 0
    shown = instance.get_latest_materialization_event(dg.AssetKey("backlog"))
    assert shown is not None
    assert shown.run_id == ids[-1]
    assert instance.get_run_by_id(ids[-1]) is not None


@contextmanager
def steps_of(rows: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setattr(stage, "ROWS_A_STEP", rows)
        yield


def test_it_goes_in_steps_and_ends_when_time_is_up(
    instance: dg.DagsterInstance,
    endpoints: Endpoints,
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    measured(engine, days=31, runs=10)
    moments = iter(range(100))
    with (
        open_history(engine, endpoints, instance) as history,
        steps_of(3, monkeypatch),
    ):
        # The clock ticks once for each look at it: at the begin, then before each step.
        budget = Budget(seconds=5, rows=1, clock=lambda: float(next(moments)))
        first = stage.prune(history, budget, days=30, dry_run=False)
        assert (first.operation_measurements, first.is_complete) == (6, False)
        assert first.dagster_runs == 0
        second = stage.prune(history, Budget(seconds=60, rows=1), days=30, dry_run=False)
        assert (second.operation_measurements, second.is_complete) == (4, True)
