"""The money of a day is kept once it is over, whole or not at all, and what comes late is added."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, Row, text

from batch_assets.store import daily_costs
from batch_assets.store.cost_audit import cost_differences
from batch_assets.store.daily_costs import CostReports, DailyCosts
from batch_assets.store.intents import Duplicate, Intents
from batch_assets.store.readings import Abandoned, Late
from batch_assets_tests.databases import TestDatabases
from batch_assets_tests.one_database import empty, one_database


@pytest.fixture(scope="module")
def module_engine(databases: TestDatabases) -> Iterator[Engine]:
    with one_database(databases) as opened:
        yield opened


@pytest.fixture
def engine(module_engine: Engine) -> Engine:
    empty(module_engine)
    return module_engine


def do(engine: Engine, statement: str, **values: Any) -> Any:
    with engine.begin() as connection:
        return connection.execute(text(statement), values)


def batch(engine: Engine, batch_id: str, claimed_at: str, state: str = "finalized") -> None:
    """A batch of one answer, which has cost 2 USD at half a euro; in a state in which it may be."""
    is_over = state == "finalized"
    do(
        engine,
        "INSERT INTO batch_assets.batch (id, installation_id, company_id, model, state, requests,"
        " openai_batch_id, server_status, server_status_since, claimed_at, submitted_at, ended_at,"
        " finalized_at, completed, cost_usd, cost_eur, synchronous_cost_eur, usd_to_eur)"
        " SELECT :id, 'i', 'c', 'm', :state, 1, :id, 'completed', now(),"
        " CAST(:claimed_at AS timestamptz), now(), CASE WHEN :is_over THEN now() END,"
        " CASE WHEN :is_over THEN now() END, 1, 2, 1, 2, 0.5",
        id=batch_id,
        claimed_at=claimed_at,
        state=state,
        is_over=is_over,
    )
    do(
        engine,
        "INSERT INTO batch_assets.attempt (batch_id, request_id, company_id, outcome, ended_at,"
        " cost_usd, cost_eur, synchronous_cost_eur, prompt_tokens, completion_tokens,"
        " cached_tokens, reasoning_tokens)"
        " VALUES (:id, 'r' || :id, 'c', 'completed', now(), 2, 1, 2, 0, 0, 0, 0)",
        id=batch_id,
    )


def kept(engine: Engine) -> dict[str, Row[Any]]:
    """What is kept, by the day."""
    rows = do_rows(engine, "SELECT * FROM batch_assets.daily_cost ORDER BY day")
    return {row.day.isoformat(): row for row in rows}


def do_rows(engine: Engine, query: str) -> list[Row[Any]]:
    with engine.connect() as connection:
        return list(connection.execute(text(query)).all())


def differences(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        return [one.sentence for one in cost_differences(connection)]


def test_a_day_is_kept_once_all_of_it_is_over_and_it_is_not_today(engine: Engine) -> None:
    batch(engine, "first", "2026-01-01 00:00+00")
    batch(engine, "last", "2026-01-01 23:59:59.999+00")
    batch(engine, "next", "2026-01-02 00:00+00")
    batch(engine, "open", "2026-01-02 10:00+00", state="submitted")
    batch(engine, "third", "2026-01-04 01:00+02")
    batch(engine, "today", "now")
    assert DailyCosts(engine).keep() == 2
    found = kept(engine)
    assert {day: row.batches for day, row in found.items()} == {"2026-01-01": 2, "2026-01-03": 1}
    first = found["2026-01-01"]
    assert (first.company_id, first.model, first.usable_answers) == ("c", "m", 2)
    assert (first.cost_usd, first.cost_eur, first.saved_eur) == (4, 2, 2)

    do(
        engine,
        "UPDATE batch_assets.batch SET state = 'finalized', ended_at = now(), finalized_at = now()"
        " WHERE id = 'open'",
    )
    assert DailyCosts(engine).keep() == 1
    assert kept(engine)["2026-01-02"].batches == 2
    (in_all,) = CostReports(engine).sums()
    assert (in_all["batches"], in_all["cost_eur"], in_all["open_batches"]) == (6, 6, 0)
    assert differences(engine) == []


def test_a_step_that_is_cut_short_has_done_nothing(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch(engine, "b1", "2026-01-01 10:00+00")
    with engine.connect() as connection:
        connection.execute(daily_costs.SQL["keep"], {"days": 7})
        connection.rollback()
    assert kept(engine) == {}
    assert do_rows(engine, "SELECT FROM batch_assets.batch WHERE is_kept") == []
    assert CostReports(engine).sums()[0]["cost_eur"] == 1
    monkeypatch.setattr(daily_costs, "DAYS_A_STEP", 1)
    batch(engine, "b2", "2026-01-02 10:00+00")
    assert DailyCosts(engine).keep(lambda: True) == 1, "time is up after one"
    assert DailyCosts(engine).keep() == 1
    assert CostReports(engine).sums()[0]["cost_eur"] == 2


def test_what_is_found_late_is_added_to_its_day(engine: Engine) -> None:
    batch(engine, "b1", "2026-01-01 10:00+00")
    assert DailyCosts(engine).keep() == 1
    batch(engine, "late", "2026-01-01 11:00+00", state="submitted")
    do(engine, "UPDATE batch_assets.batch SET model = NULL, cost_usd = NULL WHERE id = 'late'")
    do(engine, "UPDATE batch_assets.attempt SET cost_usd = NULL WHERE batch_id = 'late'")
    assert DailyCosts(engine).keep() == 0
    assert CostReports(engine).sums()[0]["cost_eur"] == 2
    do(
        engine,
        "UPDATE batch_assets.batch SET state = 'finalized', ended_at = now(), finalized_at = now()"
        " WHERE id = 'late'",
    )
    assert DailyCosts(engine).keep() == 1
    rows = do_rows(engine, "SELECT model, cost_usd, cost_eur FROM batch_assets.daily_cost")
    assert {tuple(row) for row in rows} == {("", None, 1), ("m", 2, 1)}
    (in_all,) = CostReports(engine).sums()
    assert (in_all["cost_usd"], in_all["billed_usd"], in_all["billed_eur"]) == (None, None, 2)


def test_second_batches_and_late_answers_change_a_day_that_is_kept(engine: Engine) -> None:
    batch(engine, "b1", "2026-01-01 10:00+00")
    batch(engine, "b2", "2026-01-01 11:00+00")
    do(engine, "UPDATE batch_assets.batch SET estimated_cost_eur = 3 WHERE id = 'b1'")
    do(engine, "INSERT INTO batch_assets.abandoned_batch (batch_id, poll_at) VALUES ('b2', now())")
    DailyCosts(engine).keep()
    Intents(engine).record_duplicates([Duplicate("second", "b1", is_cancelled=False)], 0.5)
    day = kept(engine)["2026-01-01"]
    assert (day.duplicates_eur, day.duplicates_usd) == (3, 6)
    assert (day.estimated_eur, day.estimated_usd) == (3, 6)
    Abandoned(engine).book("b2", Late(answers=1, cost_eur=0.25, cost_usd=0.5), is_read=True)
    day = kept(engine)["2026-01-01"]
    assert (day.abandoned_eur, day.abandoned_usd, day.cost_eur) == (0.25, 0.5, 2)
    assert differences(engine) == []
    (in_all,) = CostReports(engine).sums()
    assert in_all["billed_eur"] == 2 + 3 + 0.25
    assert in_all["billed_usd"] == 4 + 6 + 0.5


@pytest.mark.parametrize("ends", ["is read", "is looked for no more"])
def test_what_was_given_up_counts_no_more_as_estimated_in_a_day_that_is_kept(
    engine: Engine, ends: str
) -> None:
    batch(engine, "b1", "2026-01-01 10:00+00")
    do(
        engine,
        "UPDATE batch_assets.batch SET estimated_cost_eur = 3, server_status = 'abandoned'",
    )
    do(engine, "INSERT INTO batch_assets.abandoned_batch (batch_id, poll_at) VALUES ('b1', now())")
    DailyCosts(engine).keep()
    assert kept(engine)["2026-01-01"].spent_eur == 3
    if ends == "is read":
        Abandoned(engine).book("b1", Late(), is_read=True)
    else:
        do(engine, "UPDATE batch_assets.abandoned_batch SET abandoned_at = now() - interval '1 y'")
        (last,) = Abandoned(engine).take(10, whenever=False)
        assert last.is_last
    assert kept(engine)["2026-01-01"].spent_eur == 1
    assert differences(engine) == []
    do(engine, "UPDATE batch_assets.daily_cost SET spent_eur = 2")
    assert [one for one in differences(engine) if "spent_eur" in one]
