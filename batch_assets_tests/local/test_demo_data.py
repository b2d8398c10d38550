"""What a demo brings in, and what it goes on with after one that was cut off at any instant."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, text

from batch_assets.store.strategy import choose_queries
from batch_assets_local.demo_data import bring_in, open_conversations, release
from batch_assets_local.samples import SampleSession, sample_sessions, writing
from batch_assets_tests.store.queries.support import TRANSIENT, Desk, failed

SET = 339
SUSPENDED = 21


def sessions(engine: Engine) -> int:
    with engine.begin() as connection:
        return int(connection.execute(text('SELECT count(*) FROM public."Session"')).scalar_one())


def finish(engine: Engine, least: int = 0) -> None:
    """Let all requests of active companies be complete, but for `least` of them."""
    with engine.begin() as connection:
        connection.execute(
            text("""
                UPDATE public."AIProcessingRequest" SET "processingStatus" = 'PROCESSING_COMPLETE'
                WHERE id IN (
                    SELECT r.id
                    FROM public."AIProcessingRequest" AS r
                    JOIN public."Session" AS s ON s.id = r."sessionId"
                    JOIN public."Company" AS c ON c.id = s."companyId"
                    WHERE c.status = 'ACTIVE'
                    ORDER BY r.id
                    OFFSET :least
                )
            """),
            {"least": least},
        )


def test_new_ones_come_once_none_is_open(engine: Engine, database_url: str) -> None:
    assert open_conversations(engine) == 0
    assert bring_in(engine, database_url) == SET
    assert open_conversations(engine) == SET - SUSPENDED
    assert bring_in(engine, database_url) == 0
    finish(engine, least=1)
    assert open_conversations(engine) == 1
    assert bring_in(engine, database_url) == 0
    finish(engine)
    assert open_conversations(engine) == 0
    assert bring_in(engine, database_url) == SET
    assert sessions(engine) == 2 * SET


def test_what_failed_for_good_is_not_open_and_what_waits_for_a_date_is(engine: Engine) -> None:
    desk = Desk(engine, choose_queries(engine, optimized=True))
    batch, ids = desk.ended(3)
    desk.write(batch.lease, [failed(ids[0], TRANSIENT)])
    desk.finalize(batch.lease)
    desk.do(
        'UPDATE public."AIProcessingRequest" SET "processingStatus" = \'PROCESSING_FAILED\''
        " WHERE id = :id",
        id=ids[1],
    )
    assert desk.retry(ids[0]) is not None
    assert open_conversations(engine) == 2
    assert desk.value("SELECT retry_at > clock_timestamp() FROM batch_assets.retry")
    release(engine)
    assert not desk.value("SELECT retry_at > clock_timestamp() FROM batch_assets.retry")


def test_one_that_is_cut_off_while_it_brings_in_leaves_nothing(
    engine: Engine, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(*arguments: object, **options: object) -> Iterator[SampleSession]:
        for number, session in enumerate(sample_sessions(*arguments, **options)):  # type: ignore[arg-type] # what the seeding gives
            if number == 100:
                raise KeyboardInterrupt
            yield session

    with monkeypatch.context() as patch:
        patch.setattr(writing, "sample_sessions", cut_off)
        with pytest.raises(KeyboardInterrupt):
            bring_in(engine, database_url)
    assert sessions(engine) == 0
    assert bring_in(engine, database_url) == SET


def test_two_at_a_time_bring_in_one_set(engine: Engine, database_url: str) -> None:
    with ThreadPoolExecutor(2) as pool:
        brought = list(pool.map(lambda _: bring_in(engine, database_url), range(2)))
    assert sorted(brought) == [0, SET]
    assert sessions(engine) == SET


def test_what_a_killed_run_held_is_taken_over_at_once(engine: Engine) -> None:
    desk = Desk(engine, choose_queries(engine, optimized=True))
    unsent, _ = desk.claimed()
    unread, _ = desk.ended()
    assert desk.queries.take_unresolved(desk.holder, 10) == []
    release(engine)
    (found,) = desk.queries.take_unresolved(desk.holder, 10)
    assert found.id == unsent.id
    assert desk.take(unread.id).id == unread.id
