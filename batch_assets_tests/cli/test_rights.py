"""All of it as two roles that are no superusers: one has migrated, the other one runs."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import create_engine

from batch_assets.store.urls import application_url
from batch_assets_local.batch_server import RunningServer, ServerConfig
from batch_assets_tests.cli.conftest import KEY, Outcome, Type
from batch_assets_tests.cli.test_errors import assert_one_sentence
from batch_assets_tests.factories import make_company, make_request, make_requests, make_session
from batch_assets_tests.roles import Roles, livedash_with_roles

NAME = "Zorggroep Oost"
COMMANDS = (
    "plan --dry-run",
    "status",
    "companies",
    "companies --state active",
    "batches",
    "runs",
    "alerts",
    "mode",
    "mode environment",
    "audit",
    "compare",
    "export",
    "prune --yes",
    "dead-letters list",
    "dead-letters requeue --all",
    "synchronous --all --dry-run",
    "reset --dry-run",
    "reset",
    "reset-stages",
    "drain --no-wait --yes",
    "drain --resume --yes",
)
"""What is typed after the job, as the role that runs."""


@pytest.fixture
def roles(empty_database_url: str) -> Iterator[Roles]:
    with livedash_with_roles(empty_database_url) as made:
        yield made


@pytest.fixture
def type_(typed: Type, api: RunningServer, dagster_home: str, tmp_path: Path, roles: Roles) -> Type:
    """Types a command as the role `kind`."""

    def type_as(kind: str, *arguments: str) -> Outcome:
        return typed(
            *arguments,
            DATABASE_URL=roles.url(kind),
            OPENAI_API_KEY=KEY,
            OPENAI_BASE_URL=api.base_url,
            DAGSTER_HOME=dagster_home,
            BATCH_SPOOL_DIR=str(tmp_path / "spool"),
            BATCH_MIN_SIZE="1",
            BATCH_RETRY_BASE_SECONDS="0",
            COMPANY_CACHE_SECONDS="0",
        )

    return type_as


def add_requests(roles: Roles, count: int) -> None:
    """As LiveDash does; one of them can never be analysed."""
    engine = create_engine(application_url(roles.url("owner")))
    with engine.begin() as connection:
        company = make_company(connection, name=NAME)
        make_requests(connection, company, count)
        make_request(connection, make_session(connection, company, messages=0))
    engine.dispose()


def test_who_runs_can_do_all_of_it(type_: Type, roles: Roles, api: RunningServer) -> None:
    runner = roles.name("runner")
    migrated = type_("migrator", "migrate", "--grant-to", runner)
    assert (migrated.code, migrated.err) == (0, "")
    assert "has the rights that the jobs need" in " ".join(migrated.out.split())
    assert "it had them all" in " ".join(
        type_("migrator", "migrate", "--grant-to", runner).out.split()
    )
    add_requests(roles, 4)
    assert type_("runner", "confirm", "--yes").code == 0
    api.set_config({"rows": [{"effect": {"kind": "http_error", "status": 500}}]})
    run(type_, roles, "failed", 4)
    api.set_config(ServerConfig.instant())
    run(type_, roles, "completed", 4)
    assert type_("runner", "mode", "false").code == 0
    add_requests(roles, 2)
    run(type_, roles, "completed", 6)

    refused = {}
    for command in COMMANDS:
        outcome = type_("runner", *command.split())
        if outcome.code or outcome.err:
            refused[command] = outcome.err
    assert refused == {}


def run(type_: Type, roles: Roles, outcome: str, number: int) -> None:
    """Run the job until so many attempts have ended that way."""
    for _ in range(10):
        ran = type_("runner", "run")
        assert (ran.code, ran.err) == (0, "")
        with psycopg.connect(roles.admin_url) as connection:
            rows = connection.execute("SELECT outcome FROM batch_assets.attempt").fetchall()
        if rows.count((outcome,)) == number:
            return
    raise AssertionError(rows)


def test_a_missing_right_is_one_sentence_of_commands_and_runs(type_: Type, roles: Roles) -> None:
    runner = roles.name("runner")
    assert type_("migrator", "migrate", "--grant-to", runner).code == 0
    add_requests(roles, 2)
    assert type_("runner", "confirm", "--yes").code == 0
    roles.do('REVOKE UPDATE ON public."AIProcessingRequest" FROM {runner}')
    ran = type_("runner", "run")
    assert ran.code == 1
    assert 'Missing: UPDATE on public."AIProcessingRequest".' in ran.err
    assert "failed." in ran.out
    roles.do("REVOKE SELECT ON batch_assets.installation FROM {runner}")
    assert_one_sentence(
        type_("runner", "status"),
        11,
        "SELECT on batch_assets.installation",
        f"--grant-to {runner}`",
    )
    roles.do("REVOKE USAGE ON SCHEMA dagster FROM {runner}")
    assert_one_sentence(type_("runner", "run"), 11, "USAGE on schema dagster")
    assert type_("migrator", "migrate", "--grant-to", runner).code == 0
    assert (ran := type_("runner", "run")).code == 0, ran.err
    with psycopg.connect(roles.admin_url) as connection:
        batches = connection.execute("SELECT count(*) FROM batch_assets.batch").fetchone()
    assert batches == (1,)


def test_who_may_not_migrate_is_told_who_may(type_: Type, roles: Roles) -> None:
    """One sentence, whether there is anything or nothing yet, and nothing else."""
    assert_one_sentence(type_("runner", "status"), 4, "migrate` as the role that migrates")
    for arguments in (("migrate",), ("migrate", "--downgrade", "base")):
        if "base" in arguments:
            assert type_("migrator", "migrate").code == 0
            roles.do("GRANT USAGE ON SCHEMA batch_assets TO {runner}")
            roles.do("GRANT SELECT ON ALL TABLES IN SCHEMA batch_assets TO {runner}")
            roles.do("GRANT SELECT ON ALL TABLES IN SCHEMA public TO {runner}")
        outcome = type_("runner", *arguments)
        assert_one_sentence(outcome, 11, "does not let this user migrate (missing: CREATE on")
        assert outcome.out == ""
    assert "ownership of the " in outcome.err
    assert len(outcome.err) < 500


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--grant-to", "nobody"), 'no role "nobody"'),
        (("--grant-to", "nobody", "--downgrade", "base"), "does not go with --downgrade"),
    ],
)
def test_what_cannot_be_given_changes_nothing(
    type_: Type, roles: Roles, arguments: tuple[str, ...], said: str
) -> None:
    assert_one_sentence(type_("migrator", "migrate", *arguments), 2, said)
    with psycopg.connect(roles.admin_url) as connection:
        made = connection.execute("SELECT to_regnamespace('batch_assets')").fetchone()
    assert made == (None,)
