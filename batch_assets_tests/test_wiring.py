"""The wiring: what is configured, what is missing, and the local stack."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from batch_assets import wiring
from batch_assets.domain.errors import ConfigurationError
from batch_assets.openai_batch.client import BatchApi
from batch_assets.openai_batch.profiles import DEFAULT_BASE_URL
from batch_assets.resources.connections import DatabaseResource, OpenAIResource
from batch_assets.resources.pipeline import PipelineResource
from batch_assets.resources.query_strategy import QueryStrategyResource
from batch_assets.settings import load_settings
from batch_assets.store.dagster_schema import require_dagster_schema
from batch_assets.store.engine import open_engine
from batch_assets.store.migrate import require_suitable
from batch_assets.wiring import connect, connect_local, local_environment
from batch_assets_local.stack import detach, reset
from batch_assets_tests.given_wiring import given_wiring
from batch_assets_tests.transaction_pooler import transaction_pooler

DATABASE = "postgresql://livedash:canary-90be@db.example.com/livedash"
STACK = "wired"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project folder whose local stack ends with the test."""
    monkeypatch.setattr(wiring, "PROJECT_DIR", tmp_path)
    yield tmp_path
    detach(tmp_path, name=STACK)
    reset(tmp_path, name=STACK)


def test_what_is_configured_is_used() -> None:
    endpoints = connect(load_settings({"DATABASE_URL": DATABASE, "OPENAI_API_KEY": "sk-canary"}))
    assert endpoints.database_url == endpoints.dagster_database_url == DATABASE
    assert endpoints.api_key == "sk-canary"
    assert endpoints.base_url == DEFAULT_BASE_URL
    assert not endpoints.is_local
    assert "canary" not in repr(endpoints)


def test_dagster_may_have_a_database_of_its_own_and_the_api_another_address() -> None:
    endpoints = connect(
        load_settings(
            {
                "DATABASE_URL": DATABASE,
                "DAGSTER_DATABASE_URL": "postgresql://dagster@db.example.com/dagster",
                "OPENAI_API_KEY": "sk-canary",
                "OPENAI_BASE_URL": "https://api.example.com/v1",
                "BATCH_SPOOL_DIR": "/srv/spool",
            }
        )
    )
    assert endpoints.dagster_database_url == "postgresql://dagster@db.example.com/dagster"
    assert endpoints.base_url == "https://api.example.com/v1"
    assert endpoints.spool_dir == Path("/srv/spool")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["DATABASE_URL"], "OPENAI_API_KEY is missing although DATABASE_URL is set"),
        (["OPENAI_API_KEY"], "DATABASE_URL is missing although OPENAI_API_KEY is set"),
        (
            ["OPENAI_BASE_URL"],
            "DATABASE_URL and OPENAI_API_KEY are missing although OPENAI_BASE_URL is set",
        ),
        (
            ["DAGSTER_DATABASE_URL", "OPENAI_API_KEY"],
            "DATABASE_URL is missing although DAGSTER_DATABASE_URL and OPENAI_API_KEY are set",
        ),
    ],
)
def test_a_part_alone_is_refused(given: list[str], sentence: str, project: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        connect(load_settings(dict.fromkeys(given, DATABASE)))
    assert str(caught.value).startswith(sentence)
    assert "canary" not in str(caught.value)
    assert list(project.iterdir()) == []


def test_all_that_cannot_be_used_is_said_at_once_and_without_a_password() -> None:
    given = {
        "DATABASE_URL": "postgresql://livedash:canary@db.example.com:port/livedash",
        "DAGSTER_DATABASE_URL": "mysql://livedash:canary@db.example.com/dagster",
        "OPENAI_API_KEY": "sk canary",
        "OPENAI_BASE_URL": "https://api.example.com/v1?key=canary",
    }
    with pytest.raises(ConfigurationError) as caught:
        connect(load_settings(given))
    beginnings = (
        "The database URL cannot be read",
        "DAGSTER_DATABASE_URL: The database URL is not PostgreSQL's",
        "OPENAI_API_KEY is empty or holds",
        "OPENAI_BASE_URL has a query",
    )
    for line, beginning in zip(caught.value.lines, beginnings, strict=True):
        assert line.startswith(beginning)
    assert "canary" not in str(caught.value)


def test_a_key_that_cannot_be_one_is_found_where_it_is_used() -> None:
    endpoints = connect(load_settings({"DATABASE_URL": DATABASE, "OPENAI_API_KEY": "sk x"}))
    assert endpoints.api_key == "sk x"


def test_the_local_stack_is_ready_for_use_and_whatever_is_configured_stays_out(
    project: Path,
) -> None:
    settings = load_settings(
        {"DATABASE_URL": DATABASE, "OPENAI_API_KEY": "sk-canary", "BATCH_LOCAL_STACK": STACK}
    )
    endpoints = connect(settings)
    assert endpoints.is_local
    assert endpoints == connect_local(STACK)
    assert endpoints.spool_dir == project / ".local" / STACK / "spool"
    engine = open_engine(endpoints.database_url)
    require_suitable(engine)
    engine.dispose()
    require_dagster_schema(endpoints.dagster_database_url)
    with BatchApi(endpoints.api_key, endpoints.base_url) as api:
        api.check_account()


@pytest.mark.parametrize(
    ("settings", "profile", "base_url"),
    [
        ({}, "openai", DEFAULT_BASE_URL),
        ({"OPENAI_BASE_URL": "https://api.groq.com/openai/v1"}, "groq", None),
        (
            {
                "OPENAI_BASE_URL": "https://gateway.example.com/v1",
                "BATCH_SERVER_PROFILE": "together",
            },
            "together",
            None,
        ),
        (
            {
                "OPENAI_BASE_URL": "https://acme.openai.azure.com",
                "OPENAI_API_VERSION": "2024-10-21",
            },
            "azure-dated",
            "https://acme.openai.azure.com?api-version=2024-10-21",
        ),
        (
            {"OPENAI_BASE_URL": "https://api.example.com/v1", "OPENAI_API_VERSION": "2024-10-21"},
            "compatible",
            None,
        ),
    ],
)
def test_the_address_or_a_setting_says_what_the_server_is_like(
    settings: dict[str, str], profile: str, base_url: str | None
) -> None:
    given = {"DATABASE_URL": DATABASE, "OPENAI_API_KEY": "sk-canary", **settings}
    endpoints = connect(load_settings(given))
    assert endpoints.profile.name == profile
    assert endpoints.base_url == (base_url or settings["OPENAI_BASE_URL"])


def test_a_runs_batches_are_no_larger_than_the_server_takes(database_url: str) -> None:
    given = {
        "DATABASE_URL": database_url,
        "OPENAI_API_KEY": "sk-canary",
        "OPENAI_BASE_URL": "https://api.together.xyz/v1",
        "BATCH_MAX_BYTES": "150000000",
    }
    wiring = given_wiring(load_settings(given))
    database = DatabaseResource(wiring=wiring)
    run = PipelineResource(
        wiring=wiring,
        database=database,
        openai=OpenAIResource(wiring=wiring),
        query_strategy=QueryStrategyResource(wiring=wiring, database=database),
    )
    assert run.pipeline.policy.max_batch_bytes == 100_000_000
    assert run.pipeline.api.profile.name == "together"
    database.engine.dispose()


def test_a_local_environment_holds_nothing_that_is_configured() -> None:
    given = {
        "DATABASE_URL": DATABASE,
        "DAGSTER_DATABASE_URL": DATABASE,
        "OPENAI_API_KEY": "sk-canary",
        "OPENAI_BASE_URL": "https://api.example.com/v1",
        "BATCH_LOCAL_STACK": "another",
        "BATCH_MIN_SIZE": "3",
        "PATH": "/bin",
    }
    assert local_environment(given, name="demo") == {
        "BATCH_LOCAL_STACK": "demo",
        "BATCH_MIN_SIZE": "3",
        "PATH": "/bin",
    }
    assert local_environment() == {**os.environ, "BATCH_LOCAL_STACK": "default"}


LIMITS = text(
    "SELECT current_setting('lock_timeout'), current_setting('statement_timeout'),"
    " current_setting('idle_in_transaction_session_timeout'), current_setting('jit')"
)
IN_FORCE = ("30s", "5min", "5min", "off")


def test_every_statement_gives_up_waiting(database_url: str) -> None:
    engine = open_engine(database_url)
    with engine.connect() as connection:
        assert tuple(connection.execute(LIMITS).one()) == IN_FORCE
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        assert tuple(connection.execute(LIMITS).one()) == IN_FORCE
    engine.dispose()


def test_behind_a_pooler_transactions_give_up_waiting_and_keep_nothing_in_the_session(
    database_url: str,
) -> None:
    with transaction_pooler(database_url) as pooled:
        engine = open_engine(pooled)
        with engine.connect() as connection:
            assert tuple(connection.execute(LIMITS).one()) == IN_FORCE
            connection.rollback()
            # Asked without the engine's own statement, as the pooler's next client would ask.
            driver = connection.connection.driver_connection
            assert driver is not None
            assert driver.execute("SHOW lock_timeout").fetchone() == ("0",)
        engine.dispose()


def test_a_login_that_fails_for_another_reason_is_not_tried_without_limits() -> None:
    engine = open_engine("postgresql://nobody@127.0.0.1:9/nowhere")
    with pytest.raises(OperationalError, match="refused"):
        engine.connect()
    engine.dispose()
