"""Dagster's instance as `dagster.yaml` describes it, on a real PostgreSQL."""

from collections.abc import Callable, Iterator

import click
import dagster as dg
import psycopg
import pytest
from sqlalchemy import Engine, create_engine, make_url, text

from batch_assets.domain.errors import DatabaseAtItsEndError, RightMissingError
from batch_assets.project_files import PROJECT_DIR
from batch_assets.store.dagster_schema import create_dagster_schema
from batch_assets.store.urls import application_url
from batch_assets_tests.transaction_pooler import transaction_pooler

CANARY = "canary-c41d"

Configure = Callable[[str], None]


@dg.op
def step() -> None:
    pass


@dg.job(executor_def=dg.in_process_executor)
def one_step() -> None:
    step()


@pytest.fixture
def configure(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Configure:
    """Makes a database the configured one, in Dagster's home: the project folder."""
    # Paths in dagster.yaml are relative, so that they lie where the command is typed.
    monkeypatch.chdir(tmp_path_factory.mktemp("cwd"))
    monkeypatch.setenv("DAGSTER_HOME", str(PROJECT_DIR))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    return lambda url: monkeypatch.setenv("DATABASE_URL", url)


@pytest.fixture
def bare_engine(empty_database_url: str) -> Iterator[Engine]:
    engine = create_engine(application_url(empty_database_url))
    yield engine
    engine.dispose()


def test_its_tables_live_in_their_own_schema(
    empty_database_url: str, bare_engine: Engine, configure: Configure
) -> None:
    create_dagster_schema(empty_database_url)
    create_dagster_schema(empty_database_url)
    configure(empty_database_url)

    with dg.DagsterInstance.get() as instance:
        run_id = one_step.execute_in_process(instance=instance).run_id
        assert instance.get_run_by_id(run_id) is not None
    with bare_engine.connect() as connection:
        schemas = connection.execute(
            text(
                "SELECT schemaname, count(*) FROM pg_catalog.pg_tables"
                " WHERE schemaname NOT IN ('pg_catalog', 'information_schema') GROUP BY 1"
            )
        ).all()
        runs = connection.execute(text("SELECT count(*) FROM dagster.runs")).scalar_one()
    assert [row.schemaname for row in schemas] == ["dagster"]
    assert runs == 1


def test_the_instance_lets_one_run_of_the_job_start_at_a_time(
    empty_database_url: str, configure: Configure
) -> None:
    create_dagster_schema(empty_database_url)
    configure(empty_database_url)
    with dg.DagsterInstance.get() as instance:
        config = instance.get_concurrency_config().run_queue_config
        assert config is not None
        assert list(config.tag_concurrency_limits) == [
            {
                "key": ".dagster/batch_assets_exclusive",
                "value": {"applyLimitPerUniqueValue": True},
                "limit": 1,
            }
        ]
        assert not instance.telemetry_enabled
        assert not instance.nux_enabled
        assert instance.run_monitoring_enabled


def test_the_database_url_is_kept_by_the_process_alone(
    empty_database_url: str, configure: Configure
) -> None:
    create_dagster_schema(empty_database_url)
    configure(empty_database_url)
    with dg.DagsterInstance.get() as instance:
        # This is what Dagster writes on the command lines of its processes.
        assert empty_database_url.partition("?")[0] not in repr(instance.get_ref())


def test_a_missing_schema_is_one_sentence(empty_database_url: str, configure: Configure) -> None:
    configure(empty_database_url)
    with pytest.raises(click.ClickException, match="run `batch-assets migrate`"):
        dg.DagsterInstance.get()


def test_no_database_is_one_sentence(configure: Configure) -> None:
    configure(f"postgresql://livedash:{CANARY}@127.0.0.1:9/livedash")
    with pytest.raises(click.ClickException, match="port 9 does not answer") as caught:
        dg.DagsterInstance.get()
    assert CANARY not in str(caught.value)


def test_a_pooler_is_refused(empty_database_url: str, configure: Configure) -> None:
    create_dagster_schema(empty_database_url)
    with transaction_pooler(empty_database_url) as pooled:
        # The session that everybody gets is the one that somebody else has opened.
        psycopg.connect(pooled).close()
        configure(pooled)
        with pytest.raises(click.ClickException, match="set DAGSTER_DATABASE_URL"):
            dg.DagsterInstance.get()


def test_a_user_without_the_right_is_told_what_the_owner_has_to_do(
    empty_database_url: str, bare_engine: Engine
) -> None:
    role = make_url(empty_database_url).database or ""
    with bare_engine.begin() as connection:
        connection.execute(text(f'CREATE ROLE "{role}" LOGIN'))
    try:
        url = make_url(empty_database_url).set(username=role)
        with pytest.raises(RightMissingError, match="CREATE SCHEMA dagster AUTHORIZATION"):
            create_dagster_schema(url.render_as_string(hide_password=False))
    finally:
        with bare_engine.begin() as connection:
            connection.execute(text(f'DROP ROLE "{role}"'))


def test_a_full_disk_is_a_sentence_wherever_dagster_prints_it(
    empty_database_url: str,
    bare_engine: Engine,
    configure: Configure,
    capfd: pytest.CaptureFixture[str],
) -> None:
    create_dagster_schema(empty_database_url)
    configure(empty_database_url)
    with dg.DagsterInstance.get() as instance:
        with bare_engine.begin() as connection:
            connection.execute(
                text(
                    "CREATE FUNCTION dagster.full() RETURNS trigger LANGUAGE plpgsql AS"
                    " $$ BEGIN RAISE EXCEPTION 'full' USING ERRCODE = '53100'; END $$;"
                    "CREATE TRIGGER full_disk BEFORE INSERT ON dagster.event_logs"
                    " FOR EACH ROW EXECUTE FUNCTION dagster.full()"
                )
            )
        with pytest.raises(DatabaseAtItsEndError):
            one_step.execute_in_process(instance=instance, tags={"said": CANARY})
    said = capfd.readouterr().err
    assert "Exception while writing logger call" in said
    assert "no room left on its disk" in said
    assert "[SQL" not in said
    assert CANARY not in said
