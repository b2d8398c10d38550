"""How the history decides over several processes: each `Strategy` here is one, all else is real."""

import threading
from collections.abc import Callable

import pytest
from sqlalchemy import Engine

from batch_assets.store.counting import Tally, counted_into
from batch_assets.store.strategy import Strategy
from batch_assets.store.strategy.records import PROBED
from batch_assets_tests.store.queries.support import Desk
from batch_assets_tests.store.strategy.breaking import MISSING, Broken
from batch_assets_tests.store.strategy.past import AUTO, grow_older, remember
from batch_assets_tests.store.strategy.scenes import SCENES

LIVEDASH = ('public."AIBatchRequest"', 'public."Company"')


def no_probes(desk: Desk) -> None:
    """Every operation was probed a moment ago; one probe is too few to compare."""
    for operation in PROBED:
        remember(desk, operation, "original", purpose="probe", calls=1, minutes=1)


def chosen(engine: Engine, desk: Desk, operation: str = "claim") -> tuple[str, str]:
    """A process that does one thing and ends: the implementation that it used, and why."""
    ask, judge = SCENES[operation](desk)
    strategy = Strategy(engine, AUTO)
    judge(ask(strategy.queries))
    entry = strategy.report({}).query_operations[operation]
    strategy.flush()
    clear(desk)
    return entry["implementation"], entry["reason"]


def clear(desk: Desk) -> None:
    """Take everything away but the history."""
    for table in ("batch_assets.attempt", "batch_assets.batch", *LIVEDASH):
        desk.do(f"DELETE FROM {table}")


def kept(desk: Desk, operation: str = "claim") -> tuple[str, float]:
    """The choice in force and its age in seconds."""
    ((implementation, age),) = desk.column_pairs(
        "SELECT implementation, extract(epoch FROM now() - since)::float8"
        " FROM batch_assets.operation_choice WHERE operation = :operation",
        operation=operation,
    )
    return implementation, age


def test_it_begins_with_optimized_and_says_why(engine: Engine, desk: Desk) -> None:
    no_probes(desk)
    assert chosen(engine, desk) == ("optimized", "the original was not measured beside it")
    assert kept(desk)[0] == "optimized"


def test_it_never_compares_with_what_was_not_measured(engine: Engine, desk: Desk) -> None:
    remember(desk, "claim", "optimized", calls=500, seconds=1_000.0)
    assert chosen(engine, desk)[0] == "optimized"


def test_it_takes_what_is_faster(engine: Engine, desk: Desk) -> None:
    remember(desk, "claim", "optimized", seconds=2.0)
    remember(desk, "claim", "original", seconds=1.0)
    assert chosen(engine, desk)[0] == "original"
    # Once chosen, it stays for a while, whatever comes.
    remember(desk, "claim", "original", calls=100, rows=1_000, seconds=1_000.0)
    assert chosen(engine, desk) == ("original", "chosen a short while ago")
    grow_older(desk, 31)
    assert chosen(engine, desk)[0] == "optimized"


def test_failures_let_the_original_take_over_until_they_are_forgotten(
    engine: Engine, desk: Desk, broken: Broken
) -> None:
    for _ in range(5):
        fail_at(desk, broken, "claim")
    assert chosen(engine, desk) == ("original", "optimized failed in 5 of its last 5 calls")
    assert kept(desk)[0] == "original"
    grow_older(desk, 59)
    assert chosen(engine, desk)[0] == "original"
    grow_older(desk, 2)
    again = "tried again after an hour: it failed in 5 of its last 5 calls"
    assert chosen(engine, desk) == ("optimized", again)
    assert kept(desk)[1] < 60
    # What it failed at before that is forgiven.
    assert chosen(engine, desk) == ("optimized", "the original was not measured beside it")


def test_failures_count_however_seldom_it_is_asked_for(
    engine: Engine, desk: Desk, broken: Broken
) -> None:
    for _ in range(5):
        fail_at(desk, broken, "finalize")
        grow_older(desk, 60)
    assert chosen(engine, desk, "finalize")[0] == "original"


@pytest.mark.parametrize(("failures", "expected"), [(1, "optimized"), (2, "original")])
def test_it_is_left_when_no_more_than_nine_in_ten_of_the_last_calls_succeed(
    engine: Engine, desk: Desk, broken: Broken, failures: int, expected: str
) -> None:
    no_probes(desk)
    for _ in range(20):
        chosen(engine, desk, "pending_by_company")
    for _ in range(failures):
        fail_at(desk, broken, "pending_by_company")
    assert chosen(engine, desk, "pending_by_company")[0] == expected


def fail_at(desk: Desk, broken: Broken, operation: str) -> None:
    """A process whose optimized operation fails, so that the original does it again."""
    ask, judge = SCENES[operation](desk)
    strategy = broken.strategy(desk.engine, AUTO)
    with broken.sending(MISSING):
        judge(ask(strategy.queries))
    assert strategy.report({}).query_fallbacks == 1
    strategy.flush()
    clear(desk)


def test_a_choice_that_stays_keeps_its_date(engine: Engine, desk: Desk) -> None:
    chosen(engine, desk, "active_companies")
    grow_older(desk, 45)
    chosen(engine, desk, "active_companies")
    assert kept(desk, "active_companies")[1] > 44 * 60


def test_a_run_costs_two_statements_beside_its_work(engine: Engine, desk: Desk) -> None:
    no_probes(desk)
    company_id, _ = desk.company(3)
    tally = Tally()
    with counted_into(tally):
        strategy = Strategy(engine, AUTO)
        for _ in range(3):
            strategy.queries.active_companies()
            strategy.queries.pending_by_company([company_id])
        strategy.flush()
    # What an operation sends is counted for the operation, also what choosing it takes.
    assert tally.statements + strategy.report({}).query_statements == 6 + 2


def test_threads_may_ask_at_the_same_time(engine: Engine, desk: Desk) -> None:
    company_id, _ = desk.company(3)
    strategy = Strategy(engine, AUTO)
    barrier = threading.Barrier(4)
    work: list[Callable[[], object]] = [
        strategy.queries.active_companies,
        strategy.queries.statistics,
        lambda: strategy.queries.pending_by_company([company_id]),
        lambda: strategy.queries.batches_in_flight(10),
    ]

    def ask(act: Callable[[], object]) -> None:
        barrier.wait()
        for _ in range(10):
            act()

    threads = [threading.Thread(target=ask, args=[act]) for act in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    report = strategy.report({})
    assert [entry["calls"] for entry in report.query_operations.values()] == [10] * 4
