"""When a run is started that sends by flex, and what a tick says that starts none."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from batch_assets.schedules import evaluate_flex
from batch_assets.settings import load_settings
from batch_assets.store.drains import Drains
from batch_assets_tests.factories import make_company, make_requests
from batch_assets_tests.store.queries.support import Desk
from batch_assets_tests.ticks.support import (
    ACTIVE_RUN,
    Answer,
    CountingDatabase,
    History,
    skipped,
    started,
    tick_at,
)

MODEL = "gpt-5-mini"
NOTHING = "Nothing is asked for, and nothing is late, that can be sent by flex."


@pytest.fixture(autouse=True)
def allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCH_SYNCHRONOUS_RETRIES", "true")
    monkeypatch.setenv("BATCH_FLEX_MODELS", MODEL)


def tick(history: History | None = None) -> Answer:
    return evaluate_flex(tick_at(datetime.now(UTC), history))


def put_off(desk: Desk, *, model: str = MODEL, age: timedelta = timedelta(hours=23)) -> None:
    """A failed request whose retry date has come."""
    with desk.engine.begin() as connection:
        company_id = make_company(connection)
        (request_id,) = make_requests(connection, company_id, 1, model=model, age=age)
    desk.do(
        'UPDATE public."AIProcessingRequest" SET "processingStatus" = \'BATCHING_IN_PROGRESS\''
        " WHERE id = :id",
        id=request_id,
    )
    desk.do(
        "INSERT INTO batch_assets.retry (request_id, company_id, attempts, failure_kind, code,"
        " reason, retry_at) VALUES (:id, :company, 1, 'transient', 'timeout', 'r', now())",
        id=request_id,
        company=company_id,
    )


def asked(desk: Desk) -> None:
    with desk.engine.begin() as connection:
        company_id = make_company(connection)
        (request_id,) = make_requests(connection, company_id, 1, model=MODEL)
    desk.do(
        "INSERT INTO batch_assets.synchronous_request (request_id, company_id, asked_by)"
        " VALUES (:id, :company, 'somebody')",
        id=request_id,
        company=company_id,
    )


@pytest.mark.parametrize("make", [put_off, asked], ids=["late", "asked for"])
def test_what_can_go_by_flex_starts_a_run(desk: Desk, make: Callable[[Desk], None]) -> None:
    assert skipped(tick()) == NOTHING
    make(desk)
    desk.do("UPDATE batch_assets.installation SET confirmed_at = now()")
    assert started(tick()).run_key is None


def test_what_has_time_or_no_flex_starts_none(desk: Desk) -> None:
    put_off(desk, age=timedelta(hours=21))
    put_off(desk, model="gpt-4o-mini")
    assert skipped(tick()) == NOTHING


@pytest.mark.parametrize(
    ("setting", "text", "said"),
    [
        ("BATCH_SYNCHRONOUS_RETRIES", "false", "Synchronous requests are off"),
        ("BATCH_SYNCHRONOUS_TIERS", "full", "at the full price alone"),
        ("BATCH_SCHEDULES_ENABLED", "false", "BATCH_SCHEDULES_ENABLED is false."),
    ],
)
def test_where_it_is_not_wanted_the_database_is_not_asked(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, setting: str, text: str, said: str
) -> None:
    put_off(desk)
    monkeypatch.setenv(setting, text)
    database = CountingDatabase(load_settings(), desk.engine)
    assert said in skipped(evaluate_flex(tick_at(database=database)))
    assert database.tally.statements == 0


def test_a_server_that_is_not_known_to_have_flex_is_not_asked_for_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_off(desk)
    monkeypatch.setenv("BATCH_FLEX_MODELS", "")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    assert "BATCH_FLEX_MODELS names no model" in skipped(tick())


def test_none_is_started_beside_another_one_of_the_job(desk: Desk) -> None:
    put_off(desk)
    assert skipped(tick(History(current=ACTIVE_RUN))).startswith("Run r1 is still active")


def test_none_is_started_for_what_may_not_be_sent(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_off(desk)
    desk.do("UPDATE batch_assets.installation SET confirmed_at = NULL")
    assert "batch-assets confirm" in skipped(tick())
    desk.do("UPDATE batch_assets.installation SET confirmed_at = now()")
    monkeypatch.setenv("BATCH_SYNCHRONOUS_DAY_MAX_REQUESTS", "0")
    assert skipped(tick()) == "What may be sent synchronously in a UTC day is used up."
    monkeypatch.delenv("BATCH_SYNCHRONOUS_DAY_MAX_REQUESTS")
    Drains(desk.engine).begin("somebody")
    assert skipped(tick()) == "Submissions are stopped: it is drained."


def test_an_idle_tick_asks_once(desk: Desk) -> None:
    database = CountingDatabase(load_settings(), desk.engine)
    evaluate_flex(tick_at(database=database))
    assert database.tally.statements == 1
