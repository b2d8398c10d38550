"""Probes: the other implementation reads the same once more, at a bounded cost."""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine, text

from batch_assets.domain.accounts import DEFAULT_ACCOUNT
from batch_assets.domain.metrics import RunMetrics
from batch_assets.domain.records import Backlog
from batch_assets.store.counting import statements_sent
from batch_assets.store.metrics import Metrics, ReportData
from batch_assets.store.optimized import OptimizedQueries
from batch_assets.store.original import OriginalQueries
from batch_assets.store.protocol import Queries
from batch_assets.store.strategy import Strategy
from batch_assets.store.strategy.comparison import TimeIsUpError, bounded
from batch_assets.store.strategy.records import PROBED, READS, Implementation, Key, Purpose
from batch_assets_tests.store.queries.support import Desk
from batch_assets_tests.store.strategy.breaking import MISSING, Broken, made_of
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
    batch, ids = desk.claimed()
    company_id, _ = desk.company(3)

    def run() -> int:
        strategy = Strategy(engine, AUTO)
        strategy.queries.pending_by_company([company_id])
        strategy.queries.open_rows([batch.id], 1)
        strategy.queries.rows_of([(batch.id, ids[0])])
        strategy.flush()
        return len({key.query for key in probes(strategy)})

    probed = [run() for _ in range(60)]
    assert max(probed) == 1
    assert sum(probed) <= len(PROBED)
    grow_older(desk, 31)
    assert sum(run() for _ in range(60)) >= 1


@pytest.mark.parametrize(("hours", "is_probed"), [(3.9, False), (4.1, True)])
def test_what_was_given_up_is_not_probed_again_for_hours(
    engine: Engine, desk: Desk, hours: float, is_probed: bool
) -> None:
    leave_for_probing(desk, "pending_by_company")
    given_up = {"purpose": "probe", "calls": 1, "failures": 1, "minutes": int(60 * hours)}
    remember(desk, "pending_by_company", "original", **given_up)
    ask, _ = SCENES["pending_by_company"](desk)
    strategy = Strategy(engine, AUTO)
    ask(strategy.queries)
    assert bool(probes(strategy)) is is_probed


def test_what_moves_no_row_is_not_probed(engine: Engine, desk: Desk) -> None:
    leave_for_probing(desk, "pending_by_company")
    company_id, _ = desk.company(0)
    strategy = Strategy(engine, AUTO)
    assert strategy.queries.pending_by_company([company_id]) == []
    assert probes(strategy) == []


def ask_for_many(desk: Desk, operation: str) -> Callable[[Queries], object]:
    """An operation that the original needs many statements for."""
    many = [desk.claimed(3) for _ in range(20)]
    batch_ids = [batch.id for batch, _ in many]
    rows = [(batch.id, request_id) for batch, ids in many for request_id in ids]
    company_ids = [desk.company(2)[0] for _ in range(20)]
    return {
        "pending_by_company": lambda queries: queries.pending_by_company(company_ids),
        "open_rows": lambda queries: queries.open_rows(batch_ids, 100),
        "rows_of": lambda queries: queries.rows_of(rows),
    }[operation]


@pytest.mark.parametrize("operation", sorted(PROBED))
def test_a_probe_of_the_original_is_one_statement_and_counts_as_the_runs(
    engine: Engine, desk: Desk, operation: str
) -> None:
    act = ask_for_many(desk, operation)
    leave_for_probing(desk, operation)
    strategy, before = Strategy(engine, AUTO), statements_sent()
    act(strategy.queries)
    # One has read the history.
    sent = statements_sent() - before - 1
    report = strategy.report({})
    entry = report.query_operations[operation]
    assert entry["probe_statements"] == 1
    assert report.query_statements == strategy.use().query_statements == sent
    assert sent == entry["statements"] + 1
    assert report.database_seconds >= entry["seconds"] + entry["probe_seconds"] - 1e-5
    assert (report.query_rows, strategy.use().query_operations) == (entry["rows"], 1)
    items = {key.implementation: strategy.totals()[key].rows for key in probes(strategy)}
    part = {"pending_by_company": 20, "open_rows": 20, "rows_of": 20}[operation]
    assert items[Implementation.OPTIMIZED] == part * items[Implementation.ORIGINAL]
    strategy.flush()
    kept = "SELECT sum(statements) FROM batch_assets.operation_run WHERE operation = :operation"
    assert desk.value(kept, operation=operation) == sent


def test_what_the_original_did_a_part_of_is_compared_by_the_item(
    engine: Engine, desk: Desk
) -> None:
    operation = "pending_by_company"
    remember(desk, operation, "optimized", purpose="work", calls=10, seconds=5.0)
    remember(desk, operation, "optimized", purpose="probe", calls=1, seconds=0.5, rows=100)
    remember(desk, operation, "original", purpose="probe", calls=1, seconds=0.01, rows=1)
    (pace,) = ReportData(engine).pace(1)
    assert pace.original_seconds == pytest.approx(1)
    assert pace.optimized_seconds == pytest.approx(0.5)
    known = RunMetrics(run_id="now", recorded_at=datetime.now(UTC), mode="true")
    kept = Metrics(engine).record(known, None, 60, "an account").metrics
    assert kept.queries.original_to_optimized_ratio == pytest.approx(2)


class SluggishQueries(OptimizedQueries):
    """An index is missing, so to say: the server takes its time, while `is_slow`."""

    is_slow = False

    def pending_by_company(
        self, company_ids: Sequence[str], account_name: str = DEFAULT_ACCOUNT
    ) -> list[Backlog]:
        if self.is_slow:
            with self.autocommit.connect() as connection:
                connection.execute(text("SELECT pg_sleep(0.8)"))
        return super().pending_by_company(company_ids, account_name)


class SteadyQueries(OriginalQueries):
    """Takes longer for ten companies than the optimized does, unless that is slow.

    A probe asks it for one of them, and counts ten times its time: 0.2 s, of which a busy machine
    is as far away as the slow one's 0.8 s.
    """

    def pending_by_company(
        self, company_ids: Sequence[str], account_name: str = DEFAULT_ACCOUNT
    ) -> list[Backlog]:
        with self.autocommit.connect() as connection:
            connection.execute(text("SELECT pg_sleep(0.02)"))
        return super().pending_by_company(company_ids, account_name)


def test_an_operation_that_slows_down_is_left_and_chosen_again_once_it_is_fast(
    engine: Engine, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    companies = {desk.company(2)[0] for _ in range(10)}

    def run() -> str:
        """A process, half an hour after the one before; which implementation it used."""
        grow_older(desk, 31)
        leave_for_probing(desk, "pending_by_company")
        strategy = Strategy(
            engine, AUTO, optimized=made_of(SluggishQueries), original=SteadyQueries
        )
        found = strategy.queries.pending_by_company(sorted(companies))
        assert {backlog.company_id for backlog in found} == companies
        assert len(probes(strategy)) == 2
        strategy.flush()
        entry = strategy.report({}).query_operations["pending_by_company"]
        return str(entry["implementation"])

    assert {run() for _ in range(5)} == {"optimized"}
    monkeypatch.setattr(SluggishQueries, "is_slow", True)
    assert [run() for _ in range(5)] == ["optimized"] * 3 + ["original"] * 2
    monkeypatch.setattr(SluggishQueries, "is_slow", False)
    assert [run() for _ in range(5)] == ["original"] * 3 + ["optimized"] * 2


def test_a_probe_that_fails_is_not_the_runs(engine: Engine, desk: Desk, broken: Broken) -> None:
    operation = "pending_by_company"
    leave_for_probing(desk, operation)
    for _ in range(2):
        remember(desk, operation, "original")
    remember(desk, operation, "optimized", seconds=3.0)
    ask, judge = SCENES[operation](desk)
    strategy = broken.strategy(engine, AUTO)
    with broken.sending(MISSING):
        judge(ask(strategy.queries))
    key = Key(operation, Implementation.OPTIMIZED, Purpose.PROBE)
    assert strategy.totals()[key].failures == 1
    assert strategy.report({}).query_fallbacks == 0


class SlowQueries(OriginalQueries):
    """Takes far longer than a probe may."""

    def pending_by_company(
        self, company_ids: Sequence[str], account_name: str = DEFAULT_ACCOUNT
    ) -> list[Backlog]:
        with self.autocommit.connect() as connection:
            connection.execute(text("SELECT pg_sleep(30)"))
        return []


def test_a_probe_that_takes_too_long_is_ended(
    engine: Engine, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("batch_assets.store.strategy.run.PROBE_SECONDS", 0.1)
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
