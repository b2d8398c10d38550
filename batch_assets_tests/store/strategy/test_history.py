"""What processes leave for each other: written with one statement, read with one."""

import logging
from typing import Any

import pytest
from sqlalchemy import Engine, event

from batch_assets.store.counting import Tally, counted_into
from batch_assets.store.strategy import QueryMode, Strategy, Toggle
from batch_assets.store.strategy.history import SQL, read_history
from batch_assets.store.strategy.records import Implementation
from batch_assets_tests.store.queries.support import Desk
from batch_assets_tests.store.strategy.breaking import MISSING, Broken
from batch_assets_tests.store.strategy.scenes import SCENES


def runs(desk: Desk) -> list[dict[str, Any]]:
    with desk.engine.begin() as connection:
        rows = connection.exec_driver_sql("SELECT * FROM batch_assets.operation_run ORDER BY id")
        return [dict(row._mapping) for row in rows]


def flushed(strategy: Strategy) -> int:
    """Write the history; how many statements that took."""
    tally = Tally()
    with counted_into(tally):
        strategy.flush()
    return tally.statements


@pytest.mark.parametrize("mode", [QueryMode.OPTIMIZED, QueryMode.ORIGINAL])
def test_one_statement_writes_all_that_was_measured(
    engine: Engine, desk: Desk, mode: QueryMode
) -> None:
    ask, judge = SCENES["finalize"](desk)
    strategy = Strategy(engine, Toggle(mode), run_id="run-7")
    strategy.queries.active_companies()
    strategy.queries.active_companies()
    judge(ask(strategy.queries))
    assert flushed(strategy) == 1
    report = strategy.report({}).query_operations
    written = {
        run["operation"]: (run["calls"], run["rows"], run["statements"]) for run in runs(desk)
    }
    assert written == {
        operation: (entry["calls"], entry["rows"], entry["statements"])
        for operation, entry in report.items()
    }
    assert written["active_companies"][:2] == (2, 2)
    for run in runs(desk):
        assert (run["run_id"], run["purpose"]) == ("run-7", "work")
        assert run["implementation"] == mode.only
        assert 0 < run["seconds"] < 60
        assert (run["failures"], run["fallbacks"]) == (0, 0)
    assert desk.value("SELECT count(*) FROM batch_assets.operation_choice") == 0


def test_nothing_is_written_twice_or_for_nothing(engine: Engine, desk: Desk) -> None:
    strategy = Strategy(engine, Toggle(QueryMode.OPTIMIZED))
    assert flushed(strategy) == 0
    strategy.queries.active_companies()
    assert [flushed(strategy), flushed(strategy)] == [1, 0]
    strategy.queries.active_companies()
    assert flushed(strategy) == 1
    assert [run["calls"] for run in runs(desk)] == [1, 1]


def test_failures_and_fallbacks_are_kept(engine: Engine, desk: Desk, broken: Broken) -> None:
    ask, _ = SCENES["claim"](desk)
    strategy = broken.strategy(engine)
    with broken.sending(MISSING):
        ask(strategy.queries)
    strategy.flush()
    kept = {
        run["implementation"]: (run["calls"], run["failures"], run["fallbacks"], run["rows"])
        for run in runs(desk)
    }
    assert kept == {"optimized": (1, 1, 1, 0), "original": (1, 0, 0, 3)}


def test_a_history_that_cannot_be_written_fails_nothing(
    engine: Engine, desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    strategy = Strategy(engine, Toggle(QueryMode.OPTIMIZED))
    strategy.queries.active_companies()
    desk.do("ALTER TABLE batch_assets.operation_run RENAME TO elsewhere")
    strategy.flush()
    desk.do("ALTER TABLE batch_assets.elsewhere RENAME TO operation_run")
    (said,) = caplog.records
    assert said.levelno == logging.WARNING
    strategy.flush()
    assert [run["operation"] for run in runs(desk)] == ["active_companies"]


def test_a_history_that_cannot_be_read_compares_nothing(
    engine: Engine, desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    desk.do("ALTER TABLE batch_assets.operation_run RENAME TO elsewhere")
    strategy = Strategy(engine, Toggle(QueryMode.AUTO))
    strategy.queries.active_companies()
    desk.do("ALTER TABLE batch_assets.elsewhere RENAME TO operation_run")
    assert [key.implementation for key in strategy.totals()] == [Implementation.OPTIMIZED]
    assert "cannot be read" in caplog.text


def test_old_measurements_go(engine: Engine, desk: Desk) -> None:
    for age in ("31 days", "29 days"):
        desk.do(
            "INSERT INTO batch_assets.operation_run (run_id, operation, implementation, purpose,"
            " calls, failures, fallbacks, seconds, statements, rows, recorded_at)"
            " VALUES (CAST(:age AS text), 'finalize', 'optimized', 'work', 1, 0, 0, 1, 1, 1,"
            " now() - CAST(:age AS interval))",
            age=age,
        )
    strategy = Strategy(engine, Toggle(QueryMode.OPTIMIZED), run_id="new")
    strategy.queries.active_companies()
    strategy.flush()
    assert [run["run_id"] for run in runs(desk)] == ["29 days", "new"]


def test_the_history_is_read_by_time_and_not_whole(engine: Engine, desk: Desk) -> None:
    desk.do(
        "INSERT INTO batch_assets.operation_run (run_id, operation, implementation, purpose,"
        " calls, failures, fallbacks, seconds, statements, rows, recorded_at)"
        " SELECT '', 'finalize', 'optimized', 'work', 1, 0, 0, 1, 1, 1, now() - n * interval '1 h'"
        " FROM generate_series(1, 5000) AS n"
    )
    desk.do("ANALYZE batch_assets.operation_run")

    def explain(*arguments: Any) -> tuple[str, Any]:
        return f"EXPLAIN (ANALYZE, COSTS OFF) {arguments[2]}", arguments[3]

    event.listen(engine, "before_cursor_execute", explain, retval=True)
    with engine.begin() as connection:
        windows = {"hours": 24, "last_calls": 20, "last_probes": 5}
        plans = list(connection.execute(SQL["history"], windows).scalars())
    event.remove(engine, "before_cursor_execute", explain)
    assert any("operation_run_recorded_at_idx" in line for line in plans)
    assert not any("Seq Scan on operation_run" in line for line in plans)
    assert read_history(engine)["finalize"].of(Implementation.OPTIMIZED).timing.calls == 23
