"""Probes: the other implementation reads the same once more, at a bounded cost."""

import time
from collections.abc import Sequence

import pytest
from sqlalchemy import Engine, text

from batch_assets.domain.records import Backlog
from batch_assets.store.original import OriginalQueries
from batch_assets.store.strategy import Strategy
from batch_assets.store.strategy.bounding import TimeIsUpError, bounded
from batch_assets.store.strategy.choosing import PROBE_SECONDS
from batch_assets.store.strategy.modes import Implementation
from batch_assets.store.strategy.operations import PROBED, READS
from batch_assets.store.strategy.tracking import Key, Purpose
from batch_assets_tests.store.queries.support import Desk
from batch_assets_tests.store.strategy.breaking import MISSING, Broken
from batch_assets_tests.store.strategy.past import AUTO, grow_older, remember
from batch_assets_tests.store.strategy.scenes import SCENES


def probes(strategy: Strategy) -> list[Key]:
    return [key for key in strategy.totals() if key.purpose is Purpose.PROBE]


def leave_for_probing(desk: Desk, operation: str) -> None:
    """Of all operations it is this one's turn."""
    for other in PROBED - {operation}:
        remember(desk, other, "original", purpose="probe", calls=1, minutes=29)


def test_only_reading_is_probed() -> None:
    assert PROBED
    assert PROBED <= READS


@pytest.mark.parametrize("operation", sorted(PROBED))
def test_a_probe_measures_both_side_by_side_and_changes_nothing(
    engine: Engine, desk: Desk, operation: str
) -> None:
    leave_for_probing(desk, operation)
    ask, judge = SCENES[operation](desk)
    before = desk.everything()
    strategy = Strategy(engine, AUTO)
    judge(ask(strategy.queries))
    assert desk.everything() == before
    assert {key.implementation for key in probes(strategy)} == set(Implementation)
    entry = strategy.report({}).query_operations[operation]
    assert entry["calls"] == 1
    assert entry["probe_statements"] > 0
    judge(ask(strategy.queries))
    assert {strategy.totals()[key].calls for key in probes(strategy)} == {1}


def test_a_process_probes_once_and_an_operation_every_half_hour(engine: Engine, desk: Desk) -> None:
    company_id, _ = desk.company(3)

    def run() -> int:
        strategy = Strategy(engine, AUTO)
        strategy.queries.pending_by_company([company_id])
        strategy.queries.statistics()
        strategy.queries.open_rows(["other"], 1)
        strategy.queries.rows_of([("other", "other")])
        strategy.flush()
        return len({key.operation for key in probes(strategy)})

    probed = [run() for _ in range(60)]
    assert max(probed) == 1
    assert sum(probed) <= len(PROBED)
    grow_older(desk, 31)
    assert sum(run() for _ in range(60)) >= 1


def test_what_was_slow_is_not_probed_again(engine: Engine, desk: Desk) -> None:
    leave_for_probing(desk, "statistics")
    remember(desk, "statistics", "original", calls=2, seconds=2 * PROBE_SECONDS + 1)
    strategy = Strategy(engine, AUTO)
    strategy.queries.statistics()
    assert probes(strategy) == []


def test_a_probe_that_fails_is_not_the_runs(engine: Engine, desk: Desk, broken: Broken) -> None:
    leave_for_probing(desk, "statistics")
    for _ in range(2):
        remember(desk, "statistics", "original")
    remember(desk, "statistics", "optimized", seconds=3.0)
    ask, judge = SCENES["statistics"](desk)
    strategy = broken.strategy(engine, AUTO)
    with broken.sending(MISSING):
        judge(ask(strategy.queries))
    key = Key("statistics", Implementation.OPTIMIZED, Purpose.PROBE)
    assert strategy.totals()[key].failures == 1
    assert strategy.report({}).query_fallbacks == 0


class SlowQueries(OriginalQueries):
    """Takes far longer than a probe may."""

    def pending_by_company(self, company_ids: Sequence[str]) -> list[Backlog]:
        with self.autocommit.connect() as connection:
            connection.execute(text("SELECT pg_sleep(30)"))
        return []


def test_a_probe_that_takes_too_long_is_ended(
    engine: Engine, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("batch_assets.store.strategy.running.PROBE_SECONDS", 0.1)
    leave_for_probing(desk, "pending_by_company")
    ask, judge = SCENES["pending_by_company"](desk)
    strategy = Strategy(engine, AUTO, original=SlowQueries)
    started = time.monotonic()
    judge(ask(strategy.queries))
    assert time.monotonic() - started < 10
    key = Key("pending_by_company", Implementation.ORIGINAL, Purpose.PROBE)
    assert strategy.totals()[key].failures == 1
    judge(ask(strategy.queries))


def count_for_ever(engine: Engine) -> None:
    with engine.connect() as connection:
        while True:
            connection.execute(text("SELECT 1"))


@pytest.mark.parametrize("isolation", ["AUTOCOMMIT", "READ COMMITTED"])
def test_time_is_up_between_two_statements_too(engine: Engine, isolation: str) -> None:
    with bounded(engine, 0.05) as limited:
        other = limited.execution_options(isolation_level=isolation)
        with pytest.raises(TimeIsUpError):
            count_for_ever(other)
    with engine.begin() as connection:
        assert connection.execute(text("SELECT 1")).scalar_one() == 1
