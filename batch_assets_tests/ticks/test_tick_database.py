"""The database as a tick reads it: how long it waits, and what it says when it fails."""

from typing import Any

import click
import dagster as dg
import pytest
from dagster_postgres.utils import DagsterPostgresException
from sqlalchemy import Engine, text

from batch_assets.domain.errors import BatchAssetsError, DatabaseUnavailableError
from batch_assets.settings import load_settings
from batch_assets.ticks.evaluator import TickEvaluator
from batch_assets.ticks.tick_database import TickDatabase
from batch_assets_tests.store.queries.support import Desk
from batch_assets_tests.ticks.support import skipped

LIMITS = "current_setting('lock_timeout') || ' ' || current_setting('statement_timeout')"


@pytest.fixture
def database(desk: Desk) -> TickDatabase:
    return TickDatabase(load_settings())


def ask(database: TickDatabase, *statements: str) -> Any:
    """What the last of some statements on one connection gives."""

    def query(engine: Engine) -> Any:
        with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            return [connection.execute(text(one)).scalar_one() for one in statements][-1]

    return database.read(query)


def test_it_gives_up_soon_and_keeps_no_connection(database: TickDatabase) -> None:
    assert ask(database, f"SELECT {LIMITS}") == "10s 10s"
    first, second = (ask(database, "SELECT pg_backend_pid()") for _ in range(2))
    assert first != second
    assert database.read(lambda engine: engine.url.query["connect_timeout"]) == "5"


@pytest.mark.parametrize(
    ("statements", "kind", "said"),
    [
        (
            ["SELECT set_config('statement_timeout', '20ms', false)", "SELECT pg_sleep(5)"],
            DatabaseUnavailableError,
            "did not answer within 10 s: the next tick asks again.",
        ),
        (
            ["SELECT pg_terminate_backend(pg_backend_pid())"],
            DatabaseUnavailableError,
            "cannot be used: check that the server runs and that DATABASE_URL is right.",
        ),
        (
            ["SELECT CAST('canary' AS integer)"],
            BatchAssetsError,
            "The database refused a statement: InvalidTextRepresentation (SQLSTATE 22P02, sent by "
            "tick_database.py",
        ),
    ],
)
def test_what_fails_is_one_sentence(
    database: TickDatabase, statements: list[str], kind: type[BatchAssetsError], said: str
) -> None:
    with pytest.raises(kind) as caught:
        ask(database, *statements)
    assert said in str(caught.value)
    assert "canary" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert ask(database, "SELECT 1") == 1, "the next read is a new one"


class Context:
    """A tick's context whose instance cannot be had."""

    instance_ref = None

    def __init__(self, error: Exception) -> None:
        self._error = error

    @property
    def instance(self) -> dg.DagsterInstance:
        raise self._error


@pytest.fixture
def evaluator() -> TickEvaluator:
    return TickEvaluator(load_settings())


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (click.ClickException("The database does not answer."), "The database does not answer."),
        (
            DagsterPostgresException("too many retries, canary"),
            "Dagster's own storage could not be read (DagsterPostgresException): the next tick "
            "tries again.",
        ),
    ],
)
def test_dagsters_storage_that_cannot_be_read_is_a_reason_and_no_error(
    evaluator: TickEvaluator, error: Exception, said: str
) -> None:
    context: Any = Context(error)
    assert skipped(evaluator.evaluate(context, "audit_job", lambda tick: dg.RunRequest())) == said


def test_a_bug_is_an_error_and_no_reason(evaluator: TickEvaluator) -> None:
    context: Any = Context(KeyError("a bug of ours"))
    with pytest.raises(KeyError):
        evaluator.evaluate(context, "audit_job", lambda tick: dg.RunRequest())
