"""Nothing is taken back while a run is at work, by its own word or by Dagster's."""

from collections.abc import Iterator

import dagster as dg
import pytest
from dagster_postgres import DagsterPostgresStorage
from sqlalchemy import Engine, text

from batch_assets.domain.errors import MigrationRefusedError
from batch_assets.domain.hosts import ProcessName
from batch_assets.resources.dagster_storage import make_dagster_tables
from batch_assets.resources.run_executor import WATCHED
from batch_assets.resources.run_launcher import IN_PROCESS
from batch_assets.store.dagster_schema import create_dagster_schema
from batch_assets.store.engine import open_engine
from batch_assets.store.migrate import downgrade
from batch_assets.store.migrating.refusals import refuse_while_at_work
from batch_assets.store.runs import RunProcesses
from batch_assets.store.urls import dagster_url
from batch_assets_tests.databases import TestDatabases

HERE = ProcessName("a host", 17, 4_711, "worker-1")


@pytest.fixture(scope="module")
def url(databases: TestDatabases) -> Iterator[str]:
    made = databases.clone_migrated()
    create_dagster_schema(made)
    make_dagster_tables(made)
    yield made
    databases.drop(made)


@pytest.fixture(scope="module")
def dagsters(url: str) -> DagsterPostgresStorage:
    return DagsterPostgresStorage(dagster_url(url))


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    opened = open_engine(url)
    with opened.begin() as connection:
        for table in ("batch_assets.run_process", "dagster.run_tags", "dagster.runs"):
            connection.execute(text(f"DELETE FROM {table}"))
    yield opened
    opened.dispose()


@pytest.fixture
def processes(engine: Engine) -> RunProcesses:
    return RunProcesses(engine)


def add_run(
    dagsters: DagsterPostgresStorage, status: dg.DagsterRunStatus, *, is_watched: bool = True
) -> str:
    tags = dict(WATCHED) if is_watched else {}
    run = dg.DagsterRun(job_name="batch_processing_job", status=status, tags=tags)
    return dagsters.run_storage.add_run(run).run_id


def said(engine: Engine) -> str:
    with engine.connect() as connection:
        try:
            refuse_while_at_work(connection, 'database "x"')
        except MigrationRefusedError as refused:
            return str(refused)
    return ""


def pass_time(engine: Engine, by: str) -> None:
    """Let the runs be older than they are, and their processes silent for so long."""
    with engine.begin() as connection:
        for table, column in (
            ("batch_assets.run_process", "beat_at"),
            ("dagster.runs", "update_timestamp"),
        ):
            moved = f"UPDATE {table} SET {column} = {column} - CAST(:by AS interval)"
            connection.execute(text(moved), {"by": by})


@pytest.mark.parametrize("target", ["base", "0001", "-1"])
def test_nothing_is_taken_back_while_a_run_is_heard_of(
    url: str, processes: RunProcesses, target: str
) -> None:
    processes.beat("r1", HERE)
    with pytest.raises(MigrationRefusedError) as refused:
        downgrade(url, target)
    assert str(refused.value).startswith('Run r1 is still at work on the database "')
    assert str(refused.value).endswith(": wait until it has ended, or terminate it.")


def test_a_process_that_has_ended_or_is_silent_or_given_up_is_not_at_work(
    engine: Engine, processes: RunProcesses
) -> None:
    processes.beat("r1", HERE)
    processes.beat("r2", HERE)
    assert said(engine) == (
        'Run r1 and 1 more are still at work on the database "x": wait until they have ended, or '
        "terminate them."
    )
    processes.end("r1", HERE)
    assert said(engine).startswith("Run r2 is ")
    processes.give_up("r2", processes.trace("r2"))
    assert said(engine) == ""
    processes.beat("r3", HERE)
    assert said(engine) != ""
    processes.ask_to_end("r3")
    assert said(engine) != "", "it has not heard of that yet"


def test_a_run_that_was_not_heard_of_yet_is_at_work_by_dagsters_word(
    engine: Engine, dagsters: DagsterPostgresStorage
) -> None:
    for status in ("SUCCESS", "FAILURE", "CANCELED"):
        add_run(dagsters, dg.DagsterRunStatus(status))
    assert said(engine) == ""
    runs = [add_run(dagsters, status) for status in IN_PROCESS]
    assert said(engine).startswith(f"Run {min(runs)} and 3 more are still at work")
    pass_time(engine, "76 seconds")
    assert said(engine) == "", "they would have been heard of"


def test_what_is_known_to_be_dead_is_not_at_work_and_what_cannot_be_seen_is(
    engine: Engine, dagsters: DagsterPostgresStorage, processes: RunProcesses
) -> None:
    given_up = add_run(dagsters, dg.DagsterRunStatus.STARTED)
    processes.give_up(given_up, processes.trace(given_up))
    assert said(engine) == ""
    ended = add_run(dagsters, dg.DagsterRunStatus.STARTED)
    processes.beat(ended, HERE)
    processes.end(ended, HERE)
    assert said(engine).startswith(f"Run {ended} is "), "its record is open: it may go on"
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM batch_assets.run_process WHERE host <> ''"))
        connection.execute(text("DELETE FROM dagster.runs"))
    unwatched = add_run(dagsters, dg.DagsterRunStatus.STARTED, is_watched=False)
    pass_time(engine, "2 days")
    assert said(engine).startswith(f"Run {unwatched} is ")
