"""The counter against the server's own, pg_stat_statements, for the same work."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.exc import DBAPIError

from batch_assets.store.counting import Tally, count_statements, counted_into
from batch_assets_tests.databases import TestDatabases
from batch_assets_tests.one_database import one_database

TABLE = "CREATE TEMPORARY TABLE numbers (number integer)"
NUMBERS = text("SELECT n FROM generate_series(1, 25) AS n")
INSERT = text("INSERT INTO numbers (number) VALUES (:number)")


@pytest.fixture(scope="module")
def module_engine(databases: TestDatabases) -> Iterator[Engine]:
    with one_database(databases) as opened:
        with opened.begin() as connection:
            connection.execute(text("CREATE EXTENSION pg_stat_statements SCHEMA public"))
        yield opened


@pytest.fixture
def engine(module_engine: Engine) -> Engine:
    count_statements(module_engine)
    return module_engine


def server_count(engine: Engine) -> int:
    """Statements that the server has seen on this database, this one left out."""
    query = text(
        "SELECT coalesce(sum(s.calls), 0) FROM public.pg_stat_statements AS s"
        " JOIN pg_database AS d ON d.oid = s.dbid"
        " WHERE d.datname = current_database() AND s.query NOT LIKE '%pg_stat_statements%'"
    )
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        return int(connection.execute(query).scalar_one())


def evictions(engine: Engine) -> int:
    """How often the server has forgotten statements, since it remembers a limited number."""
    query = text("SELECT dealloc FROM public.pg_stat_statements_info")
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        return int(connection.execute(query).scalar_one())


def in_one_transaction(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(NUMBERS)
        connection.execute(NUMBERS)


def in_autocommit(engine: Engine) -> None:
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(NUMBERS)


def without_a_commit(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(NUMBERS)


def nothing_but_a_transaction(engine: Engine) -> None:
    with engine.begin():
        pass


def a_set_for_each_parameter(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text(TABLE))
        connection.execute(INSERT, [{"number": number} for number in range(7)])
        connection.execute(text("DROP TABLE numbers"))


def a_savepoint(engine: Engine) -> None:
    with engine.begin() as connection, connection.begin_nested():
        connection.execute(NUMBERS)


def a_cursor_on_the_server(engine: Engine) -> None:
    with engine.begin() as connection:
        rows = connection.execute(
            NUMBERS, execution_options={"stream_results": True, "max_row_buffer": 1}
        )
        while rows.fetchmany(10):
            pass


def a_cursor_that_is_left(engine: Engine) -> None:
    with engine.connect() as connection:
        rows = connection.execute(NUMBERS, execution_options={"stream_results": True})
        rows.fetchone()
        rows.close()


def a_copy(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text(TABLE))
        copy_in(connection, range(1_000))
        connection.execute(text("DROP TABLE numbers"))


def copy_in(connection: Connection, numbers: range) -> None:
    driver_connection: Any = connection.connection.driver_connection
    with (
        driver_connection.cursor() as cursor,
        cursor.copy("COPY numbers (number) FROM STDIN") as copy,
    ):
        for number in numbers:
            copy.write_row((number,))


WORK = (
    in_one_transaction,
    in_autocommit,
    without_a_commit,
    nothing_but_a_transaction,
    a_set_for_each_parameter,
    a_savepoint,
    a_cursor_on_the_server,
    a_cursor_that_is_left,
    a_copy,
)


@pytest.mark.parametrize("work", WORK, ids=lambda work: str(work.__name__))
def test_the_server_counts_the_same(engine: Engine, work: Callable[[Engine], None]) -> None:
    is_comparable = False
    while not is_comparable:
        evicted, before, tally = evictions(engine), server_count(engine), Tally()
        with counted_into(tally):
            work(engine)
        counted = server_count(engine) - before
        # Other tests fill the server's memory: with entries gone its sums say nothing.
        is_comparable = evictions(engine) == evicted
    assert tally.statements == counted


def test_the_numbers_are_what_one_expects(engine: Engine) -> None:
    tallies = []
    for work in (in_one_transaction, in_autocommit, nothing_but_a_transaction):
        tallies.append(Tally())
        with counted_into(tallies[-1]):
            work(engine)
    assert [tally.statements for tally in tallies] == [4, 1, 0]


def test_what_fails_is_counted_with_its_rollback(engine: Engine) -> None:
    tally = Tally()
    with (
        pytest.raises(DBAPIError, match="division by zero"),
        counted_into(tally),
        engine.begin() as connection,
    ):
        connection.execute(text("SELECT 1 / 0"))
    assert tally.statements == 3


def test_threads_are_told_apart(engine: Engine) -> None:
    def work(times: int) -> int:
        tally = Tally()
        with counted_into(tally):
            for _ in range(times):
                in_one_transaction(engine)
        return tally.statements

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, [1, 5, 10, 20])) == [4, 20, 40, 80]


def test_a_lost_connection_is_left_alone(engine: Engine) -> None:
    tally = Tally()
    with pytest.raises(DBAPIError), counted_into(tally), engine.begin() as connection:
        connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
    assert tally.statements == 2


def test_sqlalchemys_own_events_see_less(engine: Engine) -> None:
    seen: list[Any] = []

    def see(*arguments: Any) -> None:
        seen.append(arguments[2])

    event.listen(engine, "before_cursor_execute", see)
    tally = Tally()
    with counted_into(tally), engine.begin() as connection:
        connection.execute(text(TABLE))
        driver_connection: Any = connection.connection.driver_connection
        with driver_connection.cursor() as cursor, cursor.copy("COPY numbers FROM STDIN") as copy:
            copy.write_row((1,))
        with connection.execute(NUMBERS, execution_options={"yield_per": 10}) as rows:
            assert len(rows.fetchall()) == 25
        connection.rollback()
    event.remove(engine, "before_cursor_execute", see)
    assert (len(seen), tally.statements) == (2, 8)
