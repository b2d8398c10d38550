"""`batch-assets doctor`: each planted mistake is found, and nothing on a healthy system."""

import json
import shutil
from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import make_url

from batch_assets.cli.doctor_database import of_clock
from batch_assets.cli.doctor_host import LEAST_FILES
from batch_assets.cli.env_file import read_env_file
from batch_assets.domain.health import Health
from batch_assets.project_files import PROJECT_DIR
from batch_assets.resources.dagster_storage import make_dagster_tables
from batch_assets.settings import doubts, load_settings
from batch_assets.store.dagster_schema import create_dagster_schema
from batch_assets.store.migrating.grants import grant
from batch_assets_local.batch_server import RunningServer, ServerConfig, running_server
from batch_assets_tests.cli.conftest import KEY, Type
from batch_assets_tests.cli.dev_program import free_port
from batch_assets_tests.databases import TestDatabases

Environ = Mapping[str, str | None]

HEARD = """
    INSERT INTO dagster.daemon_heartbeats (daemon_type, daemon_id, timestamp, body)
    SELECT k.name, 'one', clock_timestamp() AT TIME ZONE 'UTC', '{{"errors": []}}'
    FROM unnest(ARRAY['SCHEDULER', 'SENSOR', 'QUEUED_RUN_COORDINATOR']) AS k (name)
"""


@dataclass(frozen=True)
class Mistake:
    """Something that is wrong, and what has to be said about it."""

    name: str
    about: str
    part: str
    """Of the sentence or its remedy."""
    health: Health = Health.NOT_WELL
    environ: Environ = field(default_factory=dict)
    """Variables; `{…}` stands for a place of the test."""
    planted: str = ""
    """A statement of the database's owner."""
    undone: str = ""
    server: Mapping[str, Any] = field(default_factory=dict)
    """How the API's server behaves."""


DOUBT = Health.ATTENTION
SETTINGS = [
    Mistake("unknown", "settings", "BATCH_MIN_SIZE", DOUBT, {"BATCH_MINSIZE": "5"}),
    Mistake("read by nobody", "settings", "Leave it out.", DOUBT, {f"BATCH_{30 * 'Z'}": "5"}),
    Mistake("former name", "settings", "BATCH_SYNCHRONOUS", DOUBT, {"BATCH_LIVE_RETRIES": "true"}),
    Mistake("mistyped", "settings", "a whole number", environ={"BATCH_MIN_SIZE": "ten"}),
    Mistake("sizes", "settings", "BATCH_MAX_REQUESTS", environ={"BATCH_MIN_SIZE": "2000"}),
    Mistake("retries", "settings", "RETRY_MAX", environ={"BATCH_RETRY_BASE_SECONDS": "86400"}),
    Mistake("lease", "settings", "longest call", environ={"BATCH_LEASE_SECONDS": "10"}),
    Mistake("no key", "settings", "OPENAI_API_KEY is missing", environ={"OPENAI_API_KEY": None}),
    Mistake("broken key", "settings", "holds a space", environ={"OPENAI_API_KEY": "sk 12"}),
    Mistake("other database", "settings", "postgresql://", environ={"DATABASE_URL": "mysql://h/d"}),
    Mistake(
        "undated", "settings", "OPENAI_API_VERSION", environ={"BATCH_SERVER_PROFILE": "azure-dated"}
    ),
    Mistake("cron", "settings", "cron expression", environ={"BATCH_SCHEDULE": "61 * * * *"}),
    Mistake("off", "settings", "no run starts", DOUBT, {"BATCH_SCHEDULES_ENABLED": "false"}),
    Mistake("cap of 0", "settings", "nothing is ever sent", DOUBT, {"BATCH_DAY_MAX_REQUESTS": "0"}),
    Mistake(
        "caps",
        "settings",
        "the first bounds nothing",
        DOUBT,
        {"BATCH_COMPANY_DAY_MAX_COST_EUR": "9", "BATCH_DAY_MAX_COST_EUR": "5"},
    ),
    Mistake(
        "late alert",
        "settings",
        "before anybody is told",
        DOUBT,
        {"BATCH_ALERT_THRESHOLD_DAY_COST_EUR": "9", "BATCH_DAY_MAX_COST_EUR": "5"},
    ),
    Mistake(
        "idle setting",
        "settings",
        "BATCH_SYNCHRONOUS_RETRIES=true",
        DOUBT,
        {"BATCH_SYNCHRONOUS_RUN_MAX_REQUESTS": "7"},
    ),
    Mistake("version", "settings", "told to nobody", DOUBT, {"OPENAI_API_VERSION": "2024-10-21"}),
    Mistake(
        "events",
        "settings",
        "ROUTING_KEY",
        DOUBT,
        {"BATCH_ALERT_PAGERDUTY_URL": "https://events.example/v2"},
    ),
    Mistake(
        "threads",
        "settings",
        "Leave one of them out",
        DOUBT,
        {"MAX_CONCURRENT_COMPANIES": "3", "ENABLE_PARALLEL_PROCESSING": "false"},
    ),
]
PLACES = [
    Mistake("no home", "DAGSTER_HOME", "no dagster.yaml", environ={"DAGSTER_HOME": "{empty}"}),
    Mistake("other home", "DAGSTER_HOME", "elsewhere", environ={"DAGSTER_HOME": "{sqlite}"}),
    Mistake("old home", "DAGSTER_HOME", "older version", DOUBT, {"DAGSTER_HOME": "{old}"}),
    Mistake("no spool", "disk", "Not a directory", environ={"BATCH_SPOOL_DIR": "{file}"}),
    Mistake("open spool", "disk", "closed to", environ={"BATCH_SPOOL_DIR": "{open}"}),
    Mistake("no server", "database", "does not answer", environ={"DATABASE_URL": "{nowhere}"}),
    Mistake("no database", "database", "does not exist", environ={"DATABASE_URL": "{missing}"}),
    Mistake("encoding", "database", "UTF8", environ={"DATABASE_URL": "{latin}"}),
    Mistake(
        "not migrated", "tables", "batch-assets migrate", environ={"DATABASE_URL": "{livedash}"}
    ),
    Mistake(
        "no schema of Dagster's",
        "Dagster's tables",
        "batch-assets migrate",
        environ={"DAGSTER_DATABASE_URL": "{livedash}"},
    ),
    Mistake("no API", "server", "network", environ={"OPENAI_BASE_URL": "{nobody}"}),
    Mistake("wrong path", "server", "OPENAI_BASE_URL", environ={"OPENAI_BASE_URL": "{api}/beta"}),
    Mistake("no batches", "server", "takes", environ={"BATCH_SERVER_PROFILE": "openrouter"}),
    Mistake(
        "price of nothing",
        "prices",
        "gpt-4o-mini",
        DOUBT,
        {"BATCH_MODEL_PRICES": "gpt-4o-mni=1/2"},
        planted="""INSERT INTO batch_assets.intake (request_id, company_id, model, requested_at)
            VALUES ('r', 'c', 'gpt-4o-mini', now())""",
        undone="DELETE FROM batch_assets.intake",
    ),
]
DATABASE = [
    Mistake(
        "newer version",
        "tables",
        "Update the code",
        planted="""UPDATE batch_assets.alembic_version SET version_num = '9999';
            COMMENT ON TABLE batch_assets.alembic_version
                IS 'For code that knows revision 9999'""",
        undone="""UPDATE batch_assets.alembic_version SET version_num = '{head}';
            COMMENT ON TABLE batch_assets.alembic_version
                IS 'For code that knows revision {head}'""",
    ),
    Mistake(
        "a column gone",
        "tables",
        '"Message"."content" is missing',
        planted='ALTER TABLE public."Message" RENAME content TO text',
        undone='ALTER TABLE public."Message" RENAME text TO content',
    ),
    Mistake(
        "a right gone",
        "rights",
        'UPDATE on public."Session"',
        planted='REVOKE UPDATE ON public."Session" FROM "{runner}"',
        undone='GRANT UPDATE ON public."Session" TO "{runner}"',
    ),
    Mistake(
        "hidden rows",
        "rights",
        "BYPASSRLS",
        planted='ALTER TABLE public."Session" ENABLE ROW LEVEL SECURITY',
        undone='ALTER TABLE public."Session" DISABLE ROW LEVEL SECURITY',
    ),
    Mistake(
        "not confirmed",
        "confirmation",
        "batch-assets confirm",
        DOUBT,
        planted="UPDATE batch_assets.installation SET confirmed_at = NULL",
        undone="UPDATE batch_assets.installation SET confirmed_at = now()",
    ),
    Mistake(
        "a copy",
        "confirmation",
        "--copy",
        planted="UPDATE batch_assets.installation SET database_name = 'original'",
        undone="UPDATE batch_assets.installation SET database_name = current_database()",
    ),
    Mistake(
        "another installation",
        "confirmation",
        "--moved",
        planted="""INSERT INTO batch_assets.unknown_batch (remote_id, batch_id, found_at)
            VALUES ('batch_1', 'b', now())""",
        undone="DELETE FROM batch_assets.unknown_batch",
    ),
    Mistake(
        "an account gone",
        "accounts",
        "Name it there again",
        planted="""INSERT INTO batch_assets.company_account (company_id, account_name, assigned_by)
            VALUES ('c', 'acme', 'me')""",
        undone="DELETE FROM batch_assets.company_account",
    ),
    Mistake(
        "a drain",
        "confirmation",
        "--resume",
        DOUBT,
        planted="INSERT INTO batch_assets.drain (began_at, began_by) VALUES (now(), 'me')",
        undone="DELETE FROM batch_assets.drain",
    ),
    Mistake(
        "an account without quota",
        "confirmation",
        "reset account",
        planted="""INSERT INTO batch_assets.account_cooldown (until, reason)
            VALUES (now() + interval '1 hour', 'insufficient_quota')""",
        undone="DELETE FROM batch_assets.account_cooldown",
    ),
    Mistake(
        "LiveDash's timers",
        "LiveDash's timers",
        "without OPENAI_API_KEY",
        planted="""INSERT INTO batch_assets.livedash_act
            (id, timer, is_purchase, is_duplicate, noticed_at)
            VALUES ('a', 'retry', true, false, now())""",
        undone="DELETE FROM batch_assets.livedash_act",
    ),
    Mistake(
        "an open breaker",
        "cooldowns",
        "create_batch",
        DOUBT,
        planted="""INSERT INTO batch_assets.breaker
            (operation, state, failures, code, reason, retry_at, changed_at)
            VALUES ('create_batch', 'open', 5, 'timeout', '', now() + interval '1 hour', now())""",
        undone="DELETE FROM batch_assets.breaker",
    ),
    Mistake(
        "a model in cooldown",
        "cooldowns",
        "gpt-4o",
        DOUBT,
        planted="""INSERT INTO batch_assets.model_cooldown (model, until, reason)
            VALUES ('gpt-4o', now() + interval '1 hour', 'rate_limit_exceeded')""",
        undone="DELETE FROM batch_assets.model_cooldown",
    ),
    Mistake(
        "a price of 0",
        "prices",
        "mine=free",
        DOUBT,
        planted="""
            INSERT INTO public."AIModel" (id, name, provider, "updatedAt")
            VALUES ('m', 'mine', 'own', now());
            INSERT INTO public."AIModelPricing"
            (id, "aiModelId", "promptTokenCost", "completionTokenCost", "effectiveFrom")
            VALUES ('p', 'm', 0, 0, now() - interval '1 day')""",
        undone="""DELETE FROM public."AIModel" """,
    ),
    Mistake(
        "no price",
        "prices",
        "not sent while costs are capped",
        environ={"BATCH_DAY_MAX_COST_EUR": "5"},
        planted="""INSERT INTO batch_assets.intake (request_id, company_id, model, requested_at)
            VALUES ('r', 'c', 'nobody-knows-it', now())""",
        undone="DELETE FROM batch_assets.intake",
    ),
    Mistake(
        "no daemon",
        "daemon",
        "batch-assets daemon",
        DOUBT,
        planted="DELETE FROM dagster.daemon_heartbeats",
        undone=HEARD,
    ),
    Mistake(
        "a dead daemon",
        "daemon",
        "for 2 h",
        planted="UPDATE dagster.daemon_heartbeats SET timestamp = timestamp - interval '2 hours'",
        undone="UPDATE dagster.daemon_heartbeats SET timestamp = timestamp + interval '2 hours'",
    ),
    Mistake(
        "a daemon with errors",
        "daemon",
        "errors of its sensors",
        DOUBT,
        planted="""UPDATE dagster.daemon_heartbeats SET body = '{{"errors": [1]}}'
            WHERE daemon_type = 'SENSOR'""",
        undone="""UPDATE dagster.daemon_heartbeats SET body = '{{"errors": null}}'""",
    ),
    Mistake(
        "a schedule that is switched off",
        "schedules",
        "audit_schedule",
        DOUBT,
        planted="""INSERT INTO dagster.instigators (selector_id, status, instigator_body)
            VALUES ('s', 'STOPPED', '{{"origin": {{"job_name": "audit_schedule"}}}}')""",
        undone="DELETE FROM dagster.instigators",
    ),
    Mistake("a refused key", "key", "refuses the account", server={"keys": {"refused": [KEY]}}),
    Mistake("a wrong clock", "clocks", "ahead", server={"timing": {"clock_skew_seconds": 3600}}),
]
ALL = [*SETTINGS, *PLACES, *DATABASE]


@dataclass
class System:
    """A healthy system, and the places that mistakes lead to."""

    url: str
    environ: dict[str, str]
    server: RunningServer
    places: dict[str, str]

    def do(self, statement: str) -> None:
        """Run statements as the owner of all tables."""
        with psycopg.connect(self.url) as connection:
            connection.execute(statement.format(**self.places).encode())

    def changed(self, changes: Environ) -> dict[str, str]:
        """Its environment, with these changes."""
        given = {**self.environ, **changes}
        return {
            name: value.format(**self.places) for name, value in given.items() if value is not None
        }


@pytest.fixture(scope="module")
def system(databases: TestDatabases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    place = tmp_path_factory.mktemp("doctor")
    url, livedash, latin = (
        databases.clone_migrated(),
        databases.clone_livedash(),
        databases.create(encoding="LATIN1"),
    )
    create_dagster_schema(url)
    make_dagster_tables(url)
    runner = f"{make_url(url).database}-runner"
    with running_server(place / "server", config=ServerConfig.instant()) as server:
        made = _system(place, url, server)
        made.places |= {"livedash": livedash, "latin": latin, "runner": runner}
        made.do('CREATE ROLE "{runner}" LOGIN')
        grant(url, runner, lambda _: None)
        made.do(HEARD)
        made.do("UPDATE batch_assets.installation SET confirmed_at = now()")
        made.environ["DATABASE_URL"] = (
            make_url(url).set(username=runner).render_as_string(hide_password=False)
        )
        yield made
        made.do('DROP OWNED BY "{runner}" CASCADE')
        made.do('DROP ROLE "{runner}"')
    for one in (url, livedash, latin):
        databases.drop(one)


def _system(place: Path, url: str, server: RunningServer) -> System:
    text = (PROJECT_DIR / "dagster.yaml").read_text(encoding="utf-8")
    homes = {
        "good": text.replace(".local/dagster", str(place / "good")),
        "sqlite": "telemetry:\n  enabled: false\n",
        "old": text.replace("WatchedRunLauncher", "DefaultRunLauncher"),
    }
    for name, content in homes.items():
        (place / name).mkdir()
        (place / name / "dagster.yaml").write_text(content, encoding="utf-8")
    for name in ("empty", "open"):
        (place / name).mkdir()
        (place / name).chmod(0o755)
    (place / "file").touch()
    with psycopg.connect(url) as connection:
        (head,) = connection.execute(
            "SELECT version_num FROM batch_assets.alembic_version"
        ).fetchone() or ("",)
    environ = {
        "DATABASE_URL": url,
        "OPENAI_API_KEY": KEY,
        "OPENAI_BASE_URL": server.base_url,
        "DAGSTER_HOME": str(place / "good"),
        "BATCH_SPOOL_DIR": str(place / "spool"),
    }
    missing = make_url(url).set(database="no-such-database")
    places = {name: str(place / name) for name in (*homes, "empty", "open", "file")} | {
        "head": head,
        "api": server.base_url,
        "missing": missing.render_as_string(hide_password=False),
        "nowhere": "postgresql://u:p@127.0.0.1:9/livedash",
        "nobody": f"http://127.0.0.1:{free_port()}/v1",
    }
    return System(url, environ, server, places)


@pytest.fixture
def doctor(
    typed: Type, system: System, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., dict[str, Any]]:
    """Types the command on a system with these changes; its document."""
    monkeypatch.setattr("batch_assets.cli.doctor_host.read_env_file", lambda: None)

    def look(changes: Environ | None = None) -> dict[str, Any]:
        environ = system.changed(changes or {})
        outcome = typed("doctor", "--json", **environ)
        document: dict[str, Any] = json.loads(outcome.out)
        assert outcome.code == Health(document["health"]).exit_code
        assert KEY not in outcome.out + outcome.err
        return document

    return look


def test_there_are_enough_mistakes() -> None:
    assert len(ALL) >= 25
    assert len({mistake.name for mistake in ALL}) == len(ALL)


@pytest.mark.parametrize("mistake", ALL, ids=lambda mistake: mistake.name)
def test_a_mistake_is_found(
    doctor: Callable[..., dict[str, Any]], system: System, mistake: Mistake
) -> None:
    if mistake.planted:
        system.do(mistake.planted)
    config = ServerConfig.instant().model_dump(mode="json")
    for name, value in mistake.server.items():
        config[name] |= value
    system.server.set_config(config)
    try:
        document = doctor(mistake.environ)
    finally:
        if mistake.undone:
            system.do(mistake.undone)
        system.server.set_config(ServerConfig.instant())
    found = [one for one in document["findings"] if one["about"] == mistake.about]
    said = {one["health"]: f"{one['said']} {one['remedy']}" for one in found}
    assert mistake.part in said[mistake.health], found
    assert all(one["remedy"] for one in found if one["health"] != Health.WELL)
    assert document["health"] != Health.WELL


def test_nothing_is_found_on_a_healthy_system(
    doctor: Callable[..., dict[str, Any]], typed: Type, system: System
) -> None:
    document = doctor()
    assert [one for one in document["findings"] if one["health"] != Health.WELL] == []
    assert {one["about"] for one in document["findings"]} >= {mistake.about for mistake in ALL}
    shown = typed("doctor", **system.environ)
    assert shown.code == 0
    assert shown.out.endswith("Well. Nothing is wrong.\n")


def test_all_that_is_wrong_with_the_settings_is_found_at_once(
    doctor: Callable[..., dict[str, Any]],
) -> None:
    document = doctor(
        {"BATCH_MINSIZE": "5", "BATCH_MIN_SIZE": "ten", "BATCH_LEASE_SECONDS": "10"}
        | {"OPENAI_API_KEY": None, "BATCH_LIVE_RETRIES": "true"}
    )
    said = " ".join(one["said"] for one in document["findings"])
    for name in ("BATCH_MINSIZE", "BATCH_MIN_SIZE", "LEASE_SECONDS", "API_KEY", "LIVE_RETRIES"):
        assert name in said
    assert "the rest" in {one["about"] for one in document["findings"]}


def test_it_changes_nothing(doctor: Callable[..., dict[str, Any]], system: System) -> None:
    counted = "SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_stat_user_tables"
    with psycopg.connect(system.url, autocommit=True) as connection:
        connection.execute("SELECT pg_stat_force_next_flush()")
        before = connection.execute(counted).fetchone()
        doctor()
        connection.execute("SELECT pg_stat_clear_snapshot()")
        assert connection.execute(counted).fetchone() == before
    assert not Path(system.environ["BATCH_SPOOL_DIR"]).exists()


def test_what_the_env_file_contradicts_is_found(
    typed: Type, system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("BATCH_MIN_SIZE=3\n", encoding="utf-8")
    monkeypatch.setattr(
        "batch_assets.cli.doctor_host.read_env_file", lambda: read_env_file(tmp_path)
    )
    outcome = typed("doctor", "--json", **system.environ, BATCH_MIN_SIZE="4")
    assert outcome.code == Health.NOT_WELL.exit_code
    found = json.loads(outcome.out)["findings"]
    assert "BATCH_MIN_SIZE is set in the environment, and otherwise in" in found[0]["said"]
    assert any(one["about"] == "database" for one in found), "the rest is looked at all the same"


def test_a_disk_without_room_is_found(
    doctor: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9, 10**8))
    (found, *_) = [one for one in doctor()["findings"] if one["about"] == "disk"]
    assert (found["health"], "100 MB left" in found["said"]) == (Health.NOT_WELL, True)


def test_too_few_open_files_are_found(
    doctor: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda _: (LEAST_FILES - 1, LEAST_FILES))
    (found,) = [one for one in doctor()["findings"] if one["about"] == "open files"]
    assert (found["health"], "255 files" in found["said"]) == (Health.ATTENTION, True)


def test_clocks_that_are_apart() -> None:
    near, far, farther = (of_clock("database", timedelta(seconds=-s)) for s in (5, 60, 3_600))
    assert [one.health for one in (near, far, farther)] == list(Health)
    assert "60 s behind" in far.said


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"BATCH_LOCAL_STACK": "one"}, "nobody looks at DATABASE_URL"),
        ({"OPENAI_BASE_URL": "http://gateway.example/v1"}, "can be read on the way"),
        (
            {"OPENAI_BASE_URL": "https://api.groq.com/openai/v1", "BATCH_SERVER_PROFILE": "azure"},
            "leads to a server of the profile groq",
        ),
    ],
)
def test_settings_that_are_hardly_meant(environ: dict[str, str], said: str) -> None:
    given = {"DATABASE_URL": "postgresql://u@h/d", "OPENAI_API_KEY": KEY, **environ}
    (doubt,) = doubts(load_settings(given))
    assert said in doubt.said
    assert doubt.remedy
