"""How the optimized intake reads on: in parts that are small here, so that each of them shows."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import ProgrammingError

from batch_assets.store.counting import Tally, count_statements, counted_into
from batch_assets.store.optimized.intake import Reading, notice_pending
from batch_assets.store.original import OriginalQueries
from batch_assets.store.strategy import choose_queries
from batch_assets_tests.factories import (
    make_company,
    make_request,
    make_requests,
    make_session,
)
from batch_assets_tests.store.queries.support import Desk

OLD = timedelta(days=3)
SMALL = Reading(noticed_rows=4, swept_rows=3, checked_entries=3)
NO_SWEEP = Reading(swept_rows=1, checked_entries=1)
"""As if so much waited that the sweep does not come round."""


@pytest.fixture
def desk(engine: Engine) -> Desk:
    return Desk(engine, choose_queries(engine, optimized=True))


@pytest.fixture
def company_id(desk: Desk) -> str:
    with desk.engine.begin() as connection:
        return make_company(connection)


def make(desk: Desk, company_id: str, count: int, age: timedelta = timedelta(0)) -> set[str]:
    """Requests that nobody has noticed yet."""
    with desk.engine.begin() as connection:
        return set(make_requests(connection, company_id, count, messages=0, age=age))


def make_at(desk: Desk, company_id: str, count: int, moment: datetime) -> set[str]:
    """Requests of one date, as a bulk insert leaves them."""
    with desk.engine.begin() as connection:
        return {
            make_request(
                connection, make_session(connection, company_id, messages=0), requested_at=moment
            )
            for _ in range(count)
        }


def notice(desk: Desk, reading: Reading = SMALL, limit: int = 1_000) -> int:
    autocommit = desk.engine.execution_options(isolation_level="AUTOCOMMIT")
    return notice_pending(autocommit, limit, reading)


def noticed_until(desk: Desk) -> datetime:
    moment = desk.value("SELECT noticed_until FROM batch_assets.intake_progress")
    assert isinstance(moment, datetime)
    return moment


def test_all_that_waits_comes_in_at_once_however_small_the_parts(
    desk: Desk, company_id: str
) -> None:
    ids = make(desk, company_id, 30, age=OLD) | make(desk, company_id, 11)
    assert notice(desk) == 41
    assert desk.intake() == ids
    assert notice(desk) == 0


def test_many_requests_of_one_date_come_in_over_several_parts(desk: Desk, company_id: str) -> None:
    moment = datetime.now(UTC) - OLD
    ids = make(desk, company_id, 2, age=2 * OLD)
    ids |= make_at(desk, company_id, 23, moment)
    ids |= make(desk, company_id, 2)
    assert notice(desk) == 27
    assert desk.intake() == ids


def test_a_limit_in_the_midst_of_one_date_leaves_the_rest_to_the_next(
    desk: Desk, company_id: str
) -> None:
    ids = make_at(desk, company_id, 11, datetime.now(UTC) - OLD)
    young = make(desk, company_id, 2)
    assert notice(desk, limit=6) == 6
    assert noticed_until(desk) < datetime.now(UTC) - OLD + timedelta(minutes=1)
    assert desk.intake() < ids
    assert notice(desk, limit=6) == 6
    assert notice(desk, limit=6) == 1
    assert desk.intake() == ids | young


def test_dates_in_the_future_keep_nothing_back_that_comes_before_them(
    desk: Desk, company_id: str
) -> None:
    future = make(desk, company_id, 9, age=-OLD)
    assert notice(desk, Reading(noticed_rows=4, swept_rows=1), limit=8) == 8
    assert noticed_until(desk) <= datetime.now(UTC)
    young = make(desk, company_id, 3)
    assert notice(desk, Reading(noticed_rows=4, swept_rows=1)) == 4
    assert desk.intake() == future | young


def test_a_row_that_is_committed_a_little_late_is_within_the_overlap(
    desk: Desk, company_id: str
) -> None:
    make(desk, company_id, 5)
    notice(desk, NO_SWEEP)
    late = make(desk, company_id, 1, age=timedelta(minutes=9))
    assert notice(desk, NO_SWEEP) == 1
    assert late < desk.intake()


def test_a_late_row_is_found_when_the_sweep_comes_to_it(desk: Desk, company_id: str) -> None:
    make(desk, company_id, 20, age=2 * OLD)
    notice(desk)
    late = make(desk, company_id, 1, age=OLD)
    calls = 0
    while not late <= desk.intake():
        assert notice(desk) <= 1
        calls += 1
    assert 1 < calls <= 8


def test_a_row_that_waits_again_is_found_wherever_the_sweep_is(desk: Desk, company_id: str) -> None:
    ids = sorted(make(desk, company_id, 20, age=OLD))
    notice(desk)
    change = 'UPDATE public."AIProcessingRequest" SET "processingStatus" = {} WHERE id = :id'
    for again in (ids[0], ids[10], ids[19]):
        desk.do(change.format("'PROCESSING_FAILED'"), id=again)
        for _ in range(8):
            notice(desk)
        assert again not in desk.intake()
        desk.do(change.format("'PENDING_BATCHING'"), id=again)
        for _ in range(8):
            notice(desk)
        assert desk.intake() == set(ids)


def test_the_sweep_passes_a_date_that_has_more_rows_than_it_reads(
    desk: Desk, company_id: str
) -> None:
    ids = make_at(desk, company_id, 11, datetime.now(UTC) - 2 * OLD)
    notice(desk)
    late = make(desk, company_id, 5, age=OLD)
    for _ in range(3):
        notice(desk)
    assert desk.intake() == ids | late


@pytest.mark.parametrize("swept_rows", [3, 1_000])
def test_without_its_row_the_reading_begins_at_the_beginning(
    desk: Desk, company_id: str, swept_rows: int
) -> None:
    ids = make(desk, company_id, 10, age=OLD)
    notice(desk)
    desk.do("DELETE FROM batch_assets.intake_progress")
    desk.do("DELETE FROM batch_assets.intake")
    assert notice(desk, Reading(noticed_rows=4, swept_rows=swept_rows)) == 10
    assert desk.intake() == ids


def test_an_emptied_intake_is_filled_again_by_the_sweep(desk: Desk, company_id: str) -> None:
    ids = make(desk, company_id, 10, age=OLD)
    notice(desk)
    desk.do("DELETE FROM batch_assets.intake")
    for _ in range(4):
        notice(desk)
    assert desk.intake() == ids


@pytest.fixture
def no_progress_table(desk: Desk) -> Iterator[None]:
    desk.do("ALTER TABLE batch_assets.intake_progress RENAME TO gone")
    yield
    desk.do("ALTER TABLE batch_assets.gone RENAME TO intake_progress")


@pytest.mark.usefixtures("no_progress_table")
def test_without_its_table_the_original_does_all(desk: Desk, company_id: str) -> None:
    ids = make(desk, company_id, 3, age=OLD)
    with pytest.raises(ProgrammingError):
        desk.queries.notice_pending(100)
    assert desk.intake() == set()
    assert OriginalQueries(desk.engine).notice_pending(100) == 3
    assert desk.intake() == ids
    assert [backlog.requests for backlog in desk.queries.pending_by_company([company_id])] == [3]
    assert desk.claim(company_id).rejected == {"no_messages": 3}


def test_entries_are_compared_with_the_live_rows_a_part_at_a_time(
    desk: Desk, company_id: str
) -> None:
    make(desk, company_id, 10, age=OLD)
    notice(desk)
    desk.do('DELETE FROM public."AIProcessingRequest"')
    left = []
    for _ in range(4):
        notice(desk)
        left.append(len(desk.intake()))
    assert left == [7, 4, 1, 0]


def test_whoever_notices_at_the_same_time_counts_each_request_once(
    desk: Desk, company_id: str
) -> None:
    ids = make(desk, company_id, 400, age=OLD) | make(desk, company_id, 100)
    reading = Reading(noticed_rows=50, swept_rows=20, checked_entries=20)
    with ThreadPoolExecutor(4) as pool:
        noticed = list(pool.map(lambda _: notice(desk, reading), range(4)))
    assert sum(noticed) == 500
    assert desk.intake() == ids


def test_what_another_run_is_just_taking_in_is_waited_for(desk: Desk, company_id: str) -> None:
    ids = make(desk, company_id, 3)
    notice(desk)
    ids |= make(desk, company_id, 3)
    with ThreadPoolExecutor(1) as pool, desk.engine.connect() as other:
        with other.begin():
            other.execute(text("SELECT FROM batch_assets.intake_progress FOR UPDATE"))
            waiting = pool.submit(notice, desk)
            OriginalQueries(desk.engine).notice_pending(100)
            assert not waiting.done()
        assert waiting.result() == 0
    assert desk.intake() == ids


def test_a_run_with_nothing_new_sends_two_statements(desk: Desk, company_id: str) -> None:
    make(desk, company_id, 30, age=OLD)
    desk.queries.notice_pending(1_000)
    count_statements(desk.engine)
    tally = Tally()
    with counted_into(tally):
        assert desk.queries.notice_pending(1_000) == 0
    assert tally.statements == 2
    make(desk, company_id, 5)
    with counted_into(tally):
        assert desk.queries.notice_pending(1_000) == 5
    assert tally.statements == 4
