"""The first line of `batch-assets status`: what it goes by, and what a probe is told."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import create_engine

from batch_assets.domain.health import Health
from batch_assets.resources.dagster_storage import make_dagster_tables
from batch_assets.store.dagster_schema import create_dagster_schema
from batch_assets.store.urls import application_url
from batch_assets_tests.cli.conftest import KEY, Type
from batch_assets_tests.databases import TestDatabases
from batch_assets_tests.factories import make_company, make_requests

RUN = """
    INSERT INTO dagster.runs (run_id, pipeline_name, status, run_body, start_time, end_time)
    VALUES ('run-1', 'batch_processing_job', '{status}', '', extract(epoch FROM now()) - 5500,
        extract(epoch FROM now()) - 5400)
"""
HEARD = """
    INSERT INTO dagster.daemon_heartbeats (daemon_type, daemon_id, timestamp, body)
    SELECT k.name, 'one', clock_timestamp() AT TIME ZONE 'UTC', '{"errors": []}'
    FROM unnest(ARRAY['SCHEDULER', 'SENSOR', 'QUEUED_RUN_COORDINATOR']) AS k (name)
"""
EMPTY = """
    DELETE FROM dagster.runs;
    DELETE FROM dagster.daemon_heartbeats;
    DELETE FROM dagster.instigators;
    DELETE FROM batch_assets.alert;
    DELETE FROM batch_assets.intake;
    DELETE FROM batch_assets.drain;
    DELETE FROM batch_assets.budget;
    UPDATE batch_assets.installation SET confirmed_at = now(), database_name = current_database();
"""


class World:
    """A database that a module's tests share, with Dagster's tables."""

    def __init__(self, url: str, typed: Type, spool: Path) -> None:
        self._typed = typed
        self.url = url
        self.environ = {
            "DATABASE_URL": url,
            "OPENAI_API_KEY": KEY,
            "BATCH_SPOOL_DIR": str(spool),
        }

    def do(self, *statements: str) -> None:
        with psycopg.connect(self.url) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def wrong(self, **environ: str) -> dict[str, str]:
        """What is wrong, by what it is about: how it is, and the sentences; `all` is the verdict.

        The exit code of --check is the verdict's.
        """
        outcome = self._typed("status", "--check", "--json", **self.environ, **environ)
        document: dict[str, Any] = json.loads(outcome.out)
        assert outcome.code == Health(document["health"]).exit_code
        found = {
            one["about"]: f"{one['health']}: {one['said']} {one['remedy']}"
            for one in document["findings"]
            if one["health"] != Health.WELL
        }
        return {**found, "all": document["health"]}


@pytest.fixture(scope="module")
def url(databases: TestDatabases) -> Iterator[str]:
    made = databases.clone_migrated()
    create_dagster_schema(made)
    make_dagster_tables(made)
    yield made
    databases.drop(made)


@pytest.fixture
def world(url: str, typed: Type, tmp_path: Path) -> World:
    """It is well, until a test does something."""
    made = World(url, typed, tmp_path / "spool")
    made.do(EMPTY, RUN.format(status="SUCCESS"), HEARD)
    return made


def test_it_is_well(world: World) -> None:
    assert world.wrong() == {"all": "well"}


def test_no_run_has_ended_yet(world: World) -> None:
    world.do("DELETE FROM dagster.runs")
    found = world.wrong()
    assert (found.pop("all"), list(found)) == ("attention", ["last run"])
    assert "batch-assets run" in found["last run"]


def test_the_last_run_was_ended(world: World) -> None:
    world.do("DELETE FROM dagster.runs", RUN.format(status="CANCELED"))
    found = world.wrong()
    assert found["all"] == "attention"
    assert "was canceled 1 h ago" in found["last run"]
    assert "batch-assets logs run-1" in found["last run"]


def test_a_run_under_way_is_not_the_last_one(world: World, typed: Type) -> None:
    world.do(RUN.format(status="STARTED").replace("run-1", "run-2"))
    assert world.wrong() == {"all": "well"}
    said = typed("status", **world.environ).out
    assert "The last run, run-1, succeeded" in said
    assert "Run run-2 is under way" in said


@pytest.mark.parametrize(("severity", "health"), [("WARN", "attention"), ("ERROR", "not well")])
def test_an_alert_is_raised(world: World, severity: str, health: str) -> None:
    world.do(
        "INSERT INTO batch_assets.alert (name, is_raised, severity, summary, since)"
        f" VALUES ('dead_letters', true, '{severity}', 'There are 12.',"
        " now() - interval '90 minutes')"
    )
    found = world.wrong()
    assert found["all"] == health
    assert (
        "dead_letters, since 1 h: There are 12. See why: `batch-assets dead-letters list`"
        in (found["alerts"])
    )


@pytest.mark.parametrize(
    ("planted", "health", "said"),
    [
        ("confirmed_at = NULL", "attention", "`batch-assets confirm`"),
        ("database_name = 'original'", "not well", "--copy"),
    ],
)
def test_nothing_is_submitted(world: World, planted: str, health: str, said: str) -> None:
    world.do(f"UPDATE batch_assets.installation SET {planted}")
    found = world.wrong()
    assert found["all"] == health
    assert f"{health}: Nothing is submitted now. " in found["holds"]
    assert said in found["holds"]


def test_a_company_whose_budget_is_spent_is_called_by_its_name(world: World) -> None:
    engine = create_engine(application_url(world.url))
    with engine.begin() as connection:
        company_id = make_company(connection, name="Zorg Oost")
    engine.dispose()
    world.do(
        "INSERT INTO batch_assets.budget (company_id, period, amount_eur, set_at, set_by)"
        f" VALUES ('{company_id}', 'month', 10, now(), 'Ada')",
        "INSERT INTO batch_assets.alert (name, is_raised, severity, summary, since)"
        f" VALUES ('budget_month_of_{company_id}', true, 'WARN', 'It is spent to 85 %.', now())",
    )
    said = world.wrong()["alerts"]
    assert said.startswith("attention: budget_month of Zorg Oost, since 0 s: It is spent to 85 %.")


def test_a_drain_is_said_with_who_began_it_and_how_it_ends(world: World) -> None:
    world.do("INSERT INTO batch_assets.drain (began_by) VALUES ('Ada')")
    found = world.wrong()
    assert found["all"] == "attention"
    assert "Ada has stopped submissions at 20" in found["holds"]
    assert "`batch-assets drain --resume` lets submissions go on" in found["holds"]


def test_somebody_has_switched_off_what_starts_runs(world: World) -> None:
    world.do(
        "INSERT INTO dagster.instigators (selector_id, status, instigator_body)"
        """ VALUES ('a', 'STOPPED', '{"origin": {"job_name": "batch_processing_schedule"}}'),"""
        """ ('b', 'STOPPED', '{"origin": {"job_name": "report_schedule"}}')"""
    )
    found = world.wrong()
    assert found["all"] == "attention"
    assert "switched off batch_processing_schedule." in found["schedules"]
    assert "no run starts by itself" in world.wrong(BATCH_SCHEDULES_ENABLED="false")["schedules"]


def test_an_active_companys_requests_are_overdue(world: World, typed: Type) -> None:
    engine = create_engine(application_url(world.url))
    with engine.begin() as connection:
        for name, status in (("Late", "ACTIVE"), ("Resting", "SUSPENDED")):
            company_id = make_company(connection, name=name, status=status)
            for request_id in make_requests(connection, company_id, 2, age=timedelta(hours=9)):
                connection.exec_driver_sql(
                    "INSERT INTO batch_assets.intake (request_id, company_id, model, requested_at)"
                    " VALUES (%s, %s, 'gpt-4o-mini', now() - interval '9 hours')",
                    (request_id, company_id),
                )
    engine.dispose()
    found = world.wrong()
    assert found["all"] == "attention"
    assert "Overdue: Late (2 requests, the oldest for 9 h)." in found["backlog"]
    assert "Resting" not in found["backlog"]
    assert "The oldest requests wait for Late (2 requests" in typed("status", **world.environ).out
    # The alert says the same, once a run has raised it.
    world.do(
        "INSERT INTO batch_assets.alert (name, is_raised, severity, summary, since)"
        " VALUES ('backlog_age', true, 'WARN', 'They wait.', now())"
    )
    assert "backlog" not in world.wrong()


def test_dagsters_database_does_not_answer(world: World) -> None:
    found = world.wrong(DAGSTER_DATABASE_URL="postgresql://u@127.0.0.1:9/dagster")
    assert found["all"] == "not well"
    assert "does not answer" in found["runs"]


def test_it_is_shown_anew_until_somebody_has_seen_enough(
    world: World, typed: Type, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 1:
            world.do(EMPTY)
        elif len(slept) == 2:
            monkeypatch.setenv("DATABASE_URL", "postgresql://u@127.0.0.1:9/livedash")
        else:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("batch_assets.cli.status.sleep", sleep)
        outcome = typed("status", "--watch", **world.environ)
    assert (outcome.code, slept) == (0, [5.0] * 3)
    assert outcome.out.index("Well.") < outcome.out.index("Attention:")
    assert "does not answer" in outcome.err
    assert typed("status", "--watch", "--check", **world.environ).code == 2
