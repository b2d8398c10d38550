"""What runs of the job share of their answers to which companies are active, and what they risk."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import dagster as dg
import pytest
from sqlalchemy import Engine, event, text

from batch_assets.store.one_statement import SQL
from batch_assets.store.original import OriginalQueries
from batch_assets_local.batch_server import RunningServer
from batch_assets_tests.dagster.conftest import RunJob
from batch_assets_tests.dagster.reading import everything_stored, metadata_of
from batch_assets_tests.factories import make_company, make_requests

CACHED = {"COMPANY_CACHE_SECONDS": "300"}
KEYS = {
    "active_companies",
    "lookup_hits",
    "lookup_misses",
    "lookup_refreshes",
    "lookup_age_seconds",
    "lookup_wait_seconds",
    "lookup_bytes",
}


@dataclass(frozen=True)
class World:
    """A database that may be submitted from, a server that keeps count, and the jobs on both."""

    engine: Engine
    api: RunningServer
    run: Callable[..., dg.ExecuteInProcessResult]

    def company(self, status: str = "ACTIVE") -> str:
        """One of which ten requests are due."""
        with self.engine.begin() as connection:
            company_id = make_company(connection, status=status)
            make_requests(connection, company_id, 10)
        return company_id

    def set_status(self, company_id: str, status: str) -> None:
        with self.engine.begin() as connection:
            connection.execute(
                text(
                    'UPDATE public."Company" SET status = CAST(:status AS public."CompanyStatus")'
                    " WHERE id = :id"
                ),
                {"status": status, "id": company_id},
            )

    def submitted(self) -> int:
        """Requests that the server was ever sent."""
        return self.api.ledger().totals().requests

    def waiting(self) -> dict[str, int]:
        """Requests that still wait, of each company that has any."""
        found = OriginalQueries(self.engine).statistics()
        return {one.company_id: one.waiting for one in found if one.waiting}


@pytest.fixture
def world(run_job: RunJob, database_url: str, engine: Engine, api: RunningServer) -> World:
    return World(engine, api, partial(run_job, database_url, base_url=api.base_url))


@pytest.fixture
def asked() -> Iterator[list[str]]:
    """Grows by every question for the active companies."""
    question, heard = str(SQL["active_companies"]), []

    def listen(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        heard.extend([statement] if question in statement else [])

    event.listen(Engine, "before_cursor_execute", listen)
    yield heard
    event.remove(Engine, "before_cursor_execute", listen)


def test_the_second_run_asks_nothing(world: World, asked: list[str]) -> None:
    world.company()
    first, second = (metadata_of(world.run(environ=CACHED), "load_companies") for _ in range(2))
    assert len(asked) == 1
    assert set(first) == set(second) == KEYS
    assert (first["lookup_hits"], first["lookup_misses"], first["lookup_refreshes"]) == (0, 1, 1)
    assert (second["lookup_hits"], second["lookup_misses"], second["lookup_refreshes"]) == (1, 0, 0)
    assert second["active_companies"] == 1
    assert 0 < float(str(second["lookup_age_seconds"])) < 30
    assert int(str(second["lookup_bytes"])) > 100


@pytest.mark.parametrize("optimized", ["optimized", "false"])
def test_nothing_is_submitted_for_a_company_that_was_suspended_meanwhile(
    world: World, optimized: str
) -> None:
    environ = {**CACHED, "ENABLE_BATCH_OPTIMIZATION": optimized, "BATCH_MIN_SIZE": "11"}
    suspended, active = world.company(), world.company()
    assert world.run(environ=environ).success
    world.set_status(suspended, "SUSPENDED")

    run = world.run(environ={**environ, "BATCH_MIN_SIZE": "1"})

    assert run.success
    # The answer that it goes by still has the company.
    assert set(run.output_for_node("load_companies")["companies"]) == {suspended, active}
    assert metadata_of(run, "load_companies")["lookup_hits"] == 1
    assert metadata_of(run, "submit_batches")["requests"] == 10
    assert world.submitted() == 10
    assert world.waiting() == {suspended: 10}


def test_a_company_that_was_made_active_waits_no_longer_than_an_answer_lives(
    world: World,
) -> None:
    short = {"COMPANY_CACHE_SECONDS": "2"}
    company_id = world.company("SUSPENDED")
    assert world.run(environ=short).success
    asked_before = time.monotonic()
    world.set_status(company_id, "ACTIVE")
    time.sleep(max(0, asked_before + 2 - time.monotonic()))
    run = world.run(environ=short)
    assert metadata_of(run, "load_companies")["lookup_misses"] == 1
    assert world.submitted() == 10


def test_after_a_refresh_a_company_that_was_made_active_is_found_at_once(world: World) -> None:
    company_id = world.company("SUSPENDED")
    assert world.run(environ=CACHED).success
    world.set_status(company_id, "ACTIVE")
    assert world.run(environ=CACHED).success
    assert world.submitted() == 0

    refreshed = world.run(job_name="refresh_companies_job", environ=CACHED)

    assert refreshed.success
    assert set(metadata_of(refreshed, "refresh_companies")) == KEYS
    assert refreshed.output_for_node("refresh_companies") == 1
    found = metadata_of(world.run(environ=CACHED), "load_companies")
    assert (found["active_companies"], found["lookup_hits"]) == (1, 1)
    assert world.submitted() == 10


def test_a_run_goes_on_without_the_file_and_says_so(
    world: World, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    world.company()
    directory = tmp_path / "spool" / "companies"
    directory.mkdir(parents=True)
    directory.parent.chmod(0o700)
    directory.chmod(0o755)
    run = world.run(environ=CACHED)
    assert run.success
    assert world.submitted() == 10
    assert "the directory is open to other users" in everything_stored(instance, run.run_id)
