"""Every command that shows something, on a healthy and on a sick system: all is there, and fits."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Engine, create_engine
from wcwidth import wcswidth

from batch_assets.domain.health import Health
from batch_assets.project_files import PROJECT_DIR
from batch_assets.resources.dagster_storage import make_dagster_tables
from batch_assets.store.dagster_schema import create_dagster_schema
from batch_assets.store.strategy import choose_queries
from batch_assets.store.urls import application_url
from batch_assets_local.batch_server import RunningServer, ServerConfig, running_server
from batch_assets_tests.cli.conftest import KEY
from batch_assets_tests.cli.every_command import every_command
from batch_assets_tests.cli.terminals import PipedTyping, Typing, Typist, typing
from batch_assets_tests.cli.test_terminals import EXCEPTION, WIDTHS, is_read_in
from batch_assets_tests.databases import TestDatabases
from batch_assets_tests.factories import make_company, make_requests
from batch_assets_tests.store.queries.support import PERMANENT, Desk, failed

pytestmark = pytest.mark.xdist_group("terminals")

NAME = "Zorggroep [bold]Oost"
BATCH = "b" * 36
HEARD = """
    INSERT INTO dagster.daemon_heartbeats (daemon_type, daemon_id, timestamp, body)
    SELECT k.name, 'one', clock_timestamp() AT TIME ZONE 'UTC', '{"errors": []}'
    FROM unnest(ARRAY['SCHEDULER', 'SENSOR', 'QUEUED_RUN_COORDINATOR']) AS k (name)
"""
SICKNESS = """
    UPDATE dagster.daemon_heartbeats SET timestamp = timestamp - interval '2 hours';
    INSERT INTO batch_assets.alert (name, is_raised, severity, summary, since)
    VALUES ('open_breaker', true, 'ERROR', 'create_batch was refused.', now() - interval '1 hour'),
        ('dead_letters', false, 'WARN', 'There are few.', now() - interval '2 days');
    INSERT INTO batch_assets.breaker
    (operation, state, failures, code, reason, retry_at, changed_at)
    VALUES ('create_batch', 'open', 5, 'timeout', '', now() + interval '1 hour', now());
    INSERT INTO batch_assets.livedash_act (id, timer, is_purchase, is_duplicate, noticed_at)
    VALUES ('a', 'retry', true, false, now());
    UPDATE batch_assets.intake SET requested_at = now() - interval '9 hours';
"""


@dataclass
class System:
    """A database and a server; `run` is what ran there last."""

    environ: dict[str, str]
    run: str = ""
    batch: str = ""
    """The one that was made first: finalized, or expired on a sick system."""
    dead: str = ""
    """A dead letter, on a sick system."""
    is_sick: bool = False


def _made(typist: Typist, url: str, server: RunningServer, place: Path, *, is_sick: bool) -> System:
    home = place / "dagster"
    home.mkdir()
    text = (PROJECT_DIR / "dagster.yaml").read_text(encoding="utf-8")
    (home / "dagster.yaml").write_text(text.replace(".local/dagster", str(home)), encoding="utf-8")
    system = System(
        {
            "DATABASE_URL": url,
            "OPENAI_API_KEY": KEY,
            "OPENAI_BASE_URL": server.base_url,
            "DAGSTER_HOME": str(home),
            "BATCH_SPOOL_DIR": str(place / "spool"),
        },
        is_sick=is_sick,
    )
    create_dagster_schema(url)
    make_dagster_tables(url)
    engine = create_engine(application_url(url), connect_args={"prepare_threshold": None})
    with engine.begin() as connection:
        company_id = make_company(connection, name=NAME)
    if is_sick:
        _expire(engine, company_id)
    with engine.begin() as connection:
        make_requests(connection, company_id, 12)
        suspended = make_company(connection, name="Zorg West", status="SUSPENDED")
        make_requests(connection, suspended, 3, age=timedelta(days=9))
    engine.dispose()
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE batch_assets.installation SET confirmed_at = now()")
        connection.execute(HEARD.encode())
    if is_sick:
        refused = {"operation": "files.create", "effect": {"kind": "answer", "status": 401}}
        server.set_config({"calls": [refused]})
    with typing(typist, None, system.environ) as type_:
        ran = type_("run")
        if not is_sick:
            type_("run")
    assert ran.code == int(is_sick), ran.text
    with psycopg.connect(url) as connection:
        if is_sick:
            connection.execute(SICKNESS.encode())
        (system.run, system.batch, system.dead) = connection.execute(
            "SELECT (SELECT run_id FROM dagster.runs ORDER BY id DESC LIMIT 1),"
            " (SELECT id FROM batch_assets.batch ORDER BY claimed_at LIMIT 1),"
            " (SELECT coalesce(min(request_id), 'none') FROM batch_assets.dead_letter)"
        ).fetchone() or ("", "", "")
    return system


def _expire(engine: Engine, company_id: str) -> None:
    """Have a batch expire of which two requests had failed for good, and a third did not run."""
    desk = Desk(engine, choose_queries(engine, optimized=True))
    with engine.begin() as connection:
        dead = make_requests(connection, company_id, 3)[:2]
    desk.queries.notice_pending(1_000)
    (claimed,) = desk.claim(company_id).batches
    desk.upload(claimed.lease)
    desk.submit(claimed)
    desk.end(desk.in_flight(claimed.id), status="expired", output_file_id=None)
    lease = desk.take(claimed.id).lease
    desk.write(lease, [failed(request_id, PERMANENT) for request_id in dead])
    desk.finalize(lease)


@pytest.fixture(scope="module")
def systems(
    databases: TestDatabases, typist: Typist, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[bool, System]]:
    """Both, by whether they are sick."""
    with ExitStack() as stack:
        made = {}
        for is_sick in (False, True):
            url = databases.clone_migrated()
            stack.callback(databases.drop, url)
            place = tmp_path_factory.mktemp("system")
            server = stack.enter_context(
                running_server(place / "server", config=ServerConfig.instant())
            )
            made[is_sick] = _made(typist, url, server, place, is_sick=is_sick)
        yield made


@pytest.fixture(scope="module", params=[False, True], ids=["healthy", "sick"])
def system(request: pytest.FixtureRequest, systems: dict[bool, System]) -> System:
    return systems[request.param]


@pytest.fixture(scope="module", params=WIDTHS, ids=["80 columns", "50 columns", "pipe"])
def type_(
    request: pytest.FixtureRequest, typist: Typist, system: System
) -> Iterator[Typing | PipedTyping]:
    with typing(typist, request.param, system.environ) as opened:
        yield opened


TYPED_ELSEWHERE = {
    *("", "demo", "local", "local reset", "local stop"),
    *("dev", "serve", "webserver", "daemon", "code-server", "exporter"),
    *("account assign", "budget import", "budget set", "run"),
}
"""Help, what has a local stack of its own, what goes on until it is ended, what changes things."""


@dataclass(frozen=True)
class Case:
    """A command, and what has to be read and which code it has on a healthy and a sick system."""

    command: str
    healthy: tuple[str, ...] = ()
    sick: tuple[str, ...] = ()
    codes: tuple[int, int] = (0, 0)


FAILED = "The last run,"
REFUSED = "The API refuses the account"
PAUSED = "the company is ACTIVE there again: Zorg West (suspended): 3 requests."
TIMERS = "LiveDash's own batch timers run beside this project"
CASES = [
    Case(
        "status",
        ("Well.", NAME, "succeeded", "Today (UTC):", "This month (UTC):", PAUSED),
        (
            *("Not well:", FAILED, REFUSED, "open_breaker", "account_refused"),
            *("was not heard of for 2 h", TIMERS, NAME),
        ),
    ),
    Case("status --check", ("Well.",), ("Not well:",), (0, 11)),
    Case(
        "doctor",
        ("Well. Nothing is wrong.",),
        ("Not well.", "daemon: not well", TIMERS, "No create_batch"),
        (0, 11),
    ),
    Case("plan", ("What a run of the job would send now",), ("But nothing is submitted now.",)),
    Case("companies", (NAME, "1 company is active"), (NAME,)),
    Case("companies --state active", (NAME, "1 company."), (NAME,)),
    Case("companies --state activ", ("ACTIVE",), ("ACTIVE",), (2, 2)),
    Case("batches", ("finalized", "1 batch.", NAME), ("released", "finalized", NAME)),
    Case("batch {batch}", ("{batch}", NAME, "12 completed"), ("{batch}", NAME, "expired")),
    Case("batch {batch_begins}", ("{batch}", NAME), ("{batch}", NAME)),
    Case("cancel {batch} --dry-run", ("{batch}", "nothing to cancel"), ("{batch}",), (1, 1)),
    Case("abandon {batch} --dry-run", ("{batch}",), ("{batch}",), (1, 1)),
    Case("force {name} --dry-run", ("waits to be sent",), ("Would send 13 requests", NAME)),
    Case("account list", ("default",), ("default",)),
    Case("budgets", ("No budget is set",), ("No budget is set",)),
    Case("budget clear day --all", ("There is no budget",), ("There is no budget",), (2, 2)),
    Case("reconcile --month 2020-01 --usd 0", ("Nothing was sent",), ("Nothing was sent",)),
    Case("batches --state finalised", ("finalized.",), ("finalized.",), (2, 2)),
    Case("batches --company zorggroep_oost", ("the nearest name is",), (NAME,), (2, 2)),
    Case("runs", ("success", "{run}", "batch_processing_job"), ("failure", "{run}", REFUSED)),
    Case("logs {run}", ("ingest_results", "check_row_conservation"), (REFUSED, "submit_batches")),
    Case("logs 00000000-none", ("batch-assets runs",), ("batch-assets runs",), (2, 2)),
    Case(
        "alerts",
        ("0 alerts are raised.",),
        ("open_breaker", "see its status page", "account_refused", "OPENAI_API_KEY", "resolved"),
    ),
    Case("alerts --state raised", ("0 alerts",), ("2 alerts are raised.",)),
    Case("audit", ("Each request is in exactly one bucket",), ("Each request is in",)),
    Case("compare", ("Nothing was changed.",), ("Nothing was changed.",)),
    Case("mode", ("optimized",), ("optimized",)),
    Case("reset --dry-run", ("Nothing to do",), ("create_batch",)),
    Case("reset-stages --dry-run", ("Nothing to do",), ("Nothing to do",)),
    Case("drain --dry-run", ("Submissions would be stopped",), ("Submissions would be stopped",)),
    Case("dead-letters list", ("0 of 0 dead letters",), ("{dead}", NAME, "2 of 2 dead letters")),
    Case(
        "dead-letters show {dead}",
        ("No request has the id",),
        ("{dead}", NAME, "The model refused to answer."),
        (2, 0),
    ),
    Case("dead-letters requeue --all --dry-run", ("Nothing",), (NAME, "Nothing was changed")),
    Case("synchronous --all --dry-run", ("Synchronous requests are off",), ("are off",)),
    Case("prune --dry-run", ("Would delete",), ("Would delete",)),
    Case("confirm", ("are allowed already",), ("are allowed already",)),
    Case("migrate", ("Nothing to do",), ("Nothing to do",)),
    Case("settings batch_min_size", ("BATCH_MIN_SIZE",), ("BATCH_MIN_SIZE",)),
    Case("export --from 1h", ('"metrics"',), ('"metrics"',)),
]


def filled(system: System) -> dict[str, str]:
    """What the cases' words stand for."""
    return {
        "run": system.run,
        "batch": system.batch,
        "batch_begins": system.batch[:9],
        "dead": system.dead,
    }


def test_every_command_that_shows_something_is_typed_here() -> None:
    typed = {
        name
        for name in every_command()
        if any(f"{case.command} ".startswith(f"{name} ") for case in CASES)
    }
    assert set(every_command()) - typed == TYPED_ELSEWHERE


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.command)
def test_what_a_command_says(type_: Typing | PipedTyping, system: System, case: Case) -> None:
    words = [word.format(name=NAME, **filled(system)) for word in case.command.split()]
    seen = type_(*words)
    assert seen.code == case.codes[system.is_sick], seen.text
    for part in case.sick if system.is_sick else case.healthy:
        assert is_read_in(part.format(**filled(system)), seen), (part, seen.text)
    for word in EXCEPTION:
        assert word not in seen.text
    if type_.columns is not None and not case.command.startswith("export"):
        wide = [line for line in seen.lines if wcswidth(line) > type_.columns]
        assert all(" " not in line.strip() for line in wide), wide


@pytest.mark.parametrize("command", ["batches", "runs", "alerts", "companies", "logs {run}"])
def test_lists_for_other_programs(
    type_: Typing | PipedTyping, system: System, command: str
) -> None:
    words = command.format(run=system.run).split()
    document = json.loads(type_(*words, "--json").text)
    (listed,) = [value for value in document.values() if isinstance(value, list)]
    table = type_(*words, "--format", "csv").text.splitlines()
    assert len(table) >= len(listed) + 1
    assert all(name in table[0] for one in listed[:1] for name in one)
    assert type_(*words, "--json", "--format", "csv").code == 2


def test_status_has_all_of_it_for_other_programs(
    type_: Typing | PipedTyping, system: System
) -> None:
    document = json.loads(type_("status", "--json").text)
    assert document["health"] == (Health.NOT_WELL if system.is_sick else Health.WELL)
    assert document["last_ended_run"]["status"] == ("FAILURE" if system.is_sick else "SUCCESS")
    assert bool(document["last_ended_run"]["why"]) is system.is_sick
    raised = {one["name"] for one in document["alerts_raised"]}
    assert raised == ({"account_refused", "open_breaker"} if system.is_sick else set())
    assert [one["company"] for one in document["companies_behind"]] == [NAME] * system.is_sick
    assert set(document["money"]) == {"day", "month"}
    day = document["money"]["day"]
    assert (day["spent_eur"] > 0) is (not system.is_sick)
    assert day["saved_eur"] == pytest.approx(day["spent_eur"])


def test_a_probe_is_told_that_nothing_answers(type_: Typing | PipedTyping) -> None:
    nowhere = {"DATABASE_URL": "postgresql://u@127.0.0.1:9/livedash"}
    seen = type_("status", "--check", environ=nowhere)
    assert seen.code == Health.NOT_WELL.exit_code
    assert is_read_in("does not answer: start the server", seen)


def test_errors_are_documents_for_other_programs(type_: Typing | PipedTyping) -> None:
    seen = type_("batches", "--json", "--company", "nobody")
    document = json.loads(seen.text[seen.text.index("{\n") :])
    assert document["error"]["exit_code"] == seen.code == 2
    assert "No company has the id or the name 'nobody'" in document["error"]["sentences"][0]
    wrong = type_("batches", "--json", "--companies")
    assert '"No such option: --companies' in wrong.text
    assert wrong.code == 2
