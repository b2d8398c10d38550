"""What a person reads when the job cannot work: one sentence, and nothing that is secret."""

import errno
import re

import dagster as dg
import psycopg
import pytest
from sqlalchemy import Engine, make_url, text

from batch_assets.definitions import build_definitions
from batch_assets.ops.failures import clear_failures
from batch_assets_local.batch_server import RunningServer, ServerConfig
from batch_assets_tests.dagster.conftest import RunJob
from batch_assets_tests.dagster.reading import (
    evaluations,
    everything_stored,
    failed_ops,
    failure_of,
)
from batch_assets_tests.factories import make_company, make_requests

FIRST_OPS = {
    "check_batch_statuses",
    "load_companies",
    "record_metrics",
    "check_row_conservation",
    "evaluate_checks",
}
"""Those that depend on no other."""
CANARY = "canary-52ac"


def assert_kept_secret(instance: dg.DagsterInstance, result: dg.ExecuteInProcessResult) -> None:
    stored = everything_stored(instance, result.run_id)
    assert CANARY not in stored
    # Our sentence is all there is: no chain of causes, whose messages are not ours.
    assert "The above exception" not in stored


def test_no_database(run_job: RunJob, instance: dg.DagsterInstance) -> None:
    result = run_job(f"postgresql://livedash:{CANARY}@127.0.0.1:9/livedash")
    assert failed_ops(result) == FIRST_OPS
    for op in FIRST_OPS:
        assert failure_of(result, op) == (
            'The database "livedash" at 127.0.0.1, port 9 does not answer: start the server, '
            "or check host and port in DATABASE_URL."
        )
    assert_kept_secret(instance, result)


def test_missing_migrations(run_job: RunJob, empty_database_url: str) -> None:
    result = run_job(empty_database_url)
    assert failed_ops(result) == FIRST_OPS
    assert failure_of(result, "load_companies").endswith(
        "lacks tables that this version needs: run `batch-assets migrate`."
    )


def test_a_database_without_a_key(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"postgresql://livedash:{CANARY}@127.0.0.1:9/livedash")
    job = build_definitions().resolve_job_def("batch_processing_job")
    result = job.execute_in_process(instance=instance, raise_on_error=False)
    assert failed_ops(result) == FIRST_OPS
    assert failure_of(result, "load_companies").startswith(
        "OPENAI_API_KEY is missing although DATABASE_URL is set"
    )
    assert_kept_secret(instance, result)


def test_a_refused_key(
    run_job: RunJob,
    database_url: str,
    engine: Engine,
    api: RunningServer,
    instance: dg.DagsterInstance,
) -> None:
    with engine.begin() as connection:
        make_requests(connection, make_company(connection), 10)
    key = f"sk-{CANARY}"
    api.set_config(ServerConfig.instant(keys={"refused": [key]}))
    result = run_job(database_url, base_url=api.base_url, api_key=key)
    assert failed_ops(result) == {"submit_batches"}
    sentence = failure_of(result, "submit_batches")
    assert sentence.startswith("The API refuses the account (")
    assert sentence.endswith("check OPENAI_API_KEY, and the key's permissions and quota.")
    assert not evaluations(result, instance)["account_refused"].passed, "after one run"
    assert_kept_secret(instance, result)


def test_a_key_that_cannot_be_one(run_job: RunJob, database_url: str) -> None:
    result = run_job(database_url, api_key="sk with spaces")
    assert failed_ops(result) == {"check_batch_statuses", "fetch_pending_requests"}
    assert failure_of(result, "check_batch_statuses").startswith("OPENAI_API_KEY is empty or holds")


def test_a_refused_statement_is_told_without_the_row(
    run_job: RunJob, database_url: str, engine: Engine, instance: dg.DagsterInstance
) -> None:
    with engine.begin() as connection:
        make_company(connection, name=CANARY)
        connection.execute(text("ALTER TABLE batch_assets.intake RENAME COLUMN model TO gone"))
    result = run_job(database_url)
    assert re.fullmatch(
        r"The database refused a statement: UndefinedColumn \(SQLSTATE 42703, "
        r"sent by intake\.py:\d+ \w+\)\.",
        failure_of(result, "fetch_pending_requests"),
    )
    assert_kept_secret(instance, result)


def test_a_column_of_livedashs_that_is_gone_is_named_in_red(
    run_job: RunJob, database_url: str, engine: Engine, instance: dg.DagsterInstance
) -> None:
    with engine.begin() as connection:
        make_company(connection, name=CANARY)
        connection.execute(text('ALTER TABLE "Session" RENAME COLUMN "forwardedHr" TO "toHr"'))
    result = run_job(database_url)
    for op in ("check_batch_statuses", "fetch_pending_requests"):
        assert 'the column "Session"."forwardedHr" is missing' in failure_of(result, op)
    assert "livedash_changed" in raised_alerts(result, instance)
    assert_kept_secret(instance, result)


def raised_alerts(result: dg.ExecuteInProcessResult, instance: dg.DagsterInstance) -> set[str]:
    """The checks that the run has evaluated and that do not pass."""
    return {name for name, one in evaluations(result, instance).items() if not one.passed}


def test_a_lost_connection_is_told_as_such(engine: Engine) -> None:
    own_backend = text("SELECT pg_backend_pid()")
    terminate = text("SELECT pg_terminate_backend(:pid)")
    with engine.connect() as victim, engine.connect() as killer:
        killer.execute(terminate, {"pid": victim.execute(own_backend).scalar_one()})
        with pytest.raises(dg.Failure) as caught, clear_failures():
            victim.execute(own_backend)
    assert caught.value.description == (
        "The connection to the database was lost: the next run carries on."
    )


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "no memory left"),
        (OSError(errno.EMFILE, "", "/var/secret"), "`ulimit -n`"),
        (OSError(errno.ENOSPC, ""), "no room left"),
        (OSError(errno.EROFS, ""), "takes no changes"),
        (psycopg.OperationalError("could not create socket: Too many open files"), "`ulimit -n`"),
    ],
)
def test_what_the_host_has_run_out_of_is_a_sentence(error: Exception, said: str) -> None:
    with pytest.raises(dg.Failure) as caught, clear_failures():
        raise error
    assert said in str(caught.value.description)
    assert "secret" not in str(caught.value.description)


def test_an_unfit_url_is_not_repeated(run_job: RunJob, instance: dg.DagsterInstance) -> None:
    url = str(make_url(f"mysql://livedash:{CANARY}@host/livedash").render_as_string(False))
    result = run_job(url)
    assert "must begin with postgresql://" in failure_of(result, "load_companies")
    assert_kept_secret(instance, result)
