"""What an earlier version has left in every state goes on under the words of the glossary."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from batch_assets.domain.former_names import FORMER_NAMES
from batch_assets.store.conservation import Conservation
from batch_assets.store.engine import open_engine
from batch_assets.store.migrate import downgrade, upgrade
from batch_assets.store.strategy import choose_queries
from batch_assets_tests.databases import TestDatabases
from batch_assets_tests.store.queries.support import Desk, completed

BEFORE = "0012"
WITH_THE_WORDS = "0014"
"""What has come later is lost on the way down, whatever it is called."""

LEFT = """
    INSERT INTO batch_assets.live_request (request_id, company_id, asked_by) VALUES ('r', 'c', 'x');
    INSERT INTO batch_assets.suspect (request_id, company_id, lot, root_batch_id)
    VALUES ('r', 'c', 'b.1', 'b');
    INSERT INTO batch_assets.livedash_act (id, timer, is_purchase, is_double)
    VALUES ('a', 'create', true, true);
    INSERT INTO batch_assets.model_pause (model, until, reason, rests) VALUES ('m', now(), 'x', 2);
    INSERT INTO batch_assets.account_pause (until, reason, rests) VALUES (now(), 'x', 3);
    INSERT INTO batch_assets.scheduler_pause (failed_runs, until, reason) VALUES (4, now(), 'x');
    INSERT INTO batch_assets.abandoned_batch (batch_id, looks, look_at)
    SELECT b.id, 5, now() FROM batch_assets.batch AS b
    WHERE b.state = 'settled' AND b.kind = 'live';
    UPDATE batch_assets.batch
    SET looks = 6, look_at = now(), lot = 'b.2', suspect_of = 'b', lease_expires_at = now()
    WHERE state = 'ended';
    UPDATE batch_assets.attempt SET forgiven = true WHERE outcome = 'completed';
"""
KEPT = {
    "SELECT request_id FROM batch_assets.synchronous_request": ["r"],
    "SELECT bisection_group FROM batch_assets.bisection_request": ["b.1"],
    "SELECT is_duplicate FROM batch_assets.livedash_act": [True],
    "SELECT cooldowns FROM batch_assets.model_cooldown": [2],
    "SELECT cooldowns FROM batch_assets.account_cooldown": [3],
    "SELECT failed_runs FROM batch_assets.schedule_cooldown": [4],
    "SELECT polls FROM batch_assets.abandoned_batch WHERE poll_at <= now()": [5],
    "SELECT polls FROM batch_assets.batch WHERE poll_at <= now()": [6],
    "SELECT root_batch_id || bisection_group FROM batch_assets.batch WHERE polls > 0": ["bb.2"],
    "SELECT outcome FROM batch_assets.attempt WHERE requeued": ["completed"],
}


@pytest.fixture
def engine(databases: TestDatabases) -> Iterator[Engine]:
    url = databases.clone_migrated()
    engine = open_engine(url)
    yield engine
    engine.dispose()
    databases.drop(url)


@pytest.fixture
def url(engine: Engine) -> str:
    return engine.url.set(drivername="postgresql").render_as_string(hide_password=False)


def in_every_state(desk: Desk) -> None:
    """Batches in every state, and a synchronous one that was read."""
    desk.claimed(1)
    desk.uploaded(1)
    desk.submitted(1)
    desk.ended(1)
    released, _ = desk.claimed(1)
    desk.queries.release([released.lease])
    read, (row,) = desk.ended(1)
    desk.write(read.lease, [completed(row)])
    desk.finalize(read.lease)
    synchronous, _ = desk.ended(1, output_file_id=None, status="failed")
    desk.finalize(synchronous.lease)
    desk.do(
        "UPDATE batch_assets.batch SET kind = 'synchronous', server_status = 'synchronous'"
        " WHERE id = :id",
        id=synchronous.id,
    )


def words(desk: Desk) -> set[str]:
    return set(
        desk.column(
            "SELECT concat_ws(' ', kind, state, server_status) FROM batch_assets.batch ORDER BY id"
        )
    )


def test_every_state_is_kept_on_the_way_up_and_down(engine: Engine, url: str) -> None:
    desk = Desk(engine, choose_queries(engine, optimized=True))
    in_every_state(desk)
    engine.dispose()
    downgrade(url, WITH_THE_WORDS)
    upgrade(url)
    here, now = desk.everything(), words(desk)
    assert "synchronous finalized synchronous" in now
    assert len(now) == 7

    engine.dispose()
    downgrade(url, BEFORE)
    former = {"finalized": "settled", "synchronous": "live"}
    assert words(desk) == {" ".join(former.get(word, word) for word in one.split()) for one in now}

    engine.dispose()
    upgrade(url)
    assert words(desk) == now
    assert desk.everything() == here


def test_what_was_left_before_goes_on(engine: Engine, url: str) -> None:
    desk = Desk(engine, choose_queries(engine, optimized=True))
    in_every_state(desk)
    engine.dispose()
    downgrade(url, BEFORE)
    for statement in LEFT.split(";"):
        if statement.strip():
            desk.do(statement)
    engine.dispose()
    upgrade(url)
    for query, rows in KEPT.items():
        assert desk.column(query) == rows
    assert Conservation(engine).open_rows(3_600).violations == []
    (ended,) = desk.queries.take_ended(desk.holder, 10)
    desk.finalize(ended.lease)
    assert desk.batch(ended.id).state == "finalized"


def test_metrics_are_kept_and_can_be_asked_for_by_their_former_names(
    engine: Engine, url: str
) -> None:
    desk = Desk(engine, choose_queries(engine, optimized=True))
    columns = desk.column(
        "SELECT a.attname FROM pg_catalog.pg_attribute AS a"
        " WHERE a.attrelid = 'batch_assets.run_metric'::regclass AND a.attnotnull"
        " AND a.attnum > 0 AND NOT a.attisdropped AND a.attname NOT IN ('id', 'recorded_at')"
    )
    numbered = ", ".join(
        f"'{name}'" if name in {"run_id", "mode"} else str(number)
        for number, name in enumerate(columns)
    )
    desk.do(f"INSERT INTO batch_assets.run_metric ({', '.join(columns)}) VALUES ({numbered})")
    desk.do("UPDATE batch_assets.run_metric SET models_in_cooldown = 77")
    renamed = [name for name in columns if name in FORMER_NAMES] + ["models_in_cooldown"]
    assert len(renamed) == 4
    now = desk.value(f"SELECT row({', '.join(renamed)})::text FROM batch_assets.run_metric")
    former = ", ".join(FORMER_NAMES[name] for name in renamed)
    by_former_names = f"SELECT row({former})::text FROM batch_assets.run_metric"
    assert desk.value(by_former_names) == now
    engine.dispose()
    downgrade(url, BEFORE)
    assert desk.value(by_former_names) == now
    engine.dispose()
    upgrade(url)
    assert desk.value(by_former_names) == now
