"""Whether a run may be started now, as every schedule and sensor asks."""

from datetime import timedelta

import pytest

from batch_assets import schedules
from batch_assets.store.breakers import Cooldowns
from batch_assets.ticks.starting import TRIAL_GRACE, judge, why_no_run
from batch_assets_tests.store.queries.support import Desk
from batch_assets_tests.ticks.support import (
    ACTIVE_RUN,
    NOON,
    History,
    failed_runs,
    skipped,
    started,
    tick_at,
)

PAUSED = (
    "The last 5 runs have failed: no run is started before 2026-01-01 12:30:00 UTC, then a single "
    "one. Their pages say why; `batch-assets reset` lets runs start again at once."
)


def test_switched_off_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCH_SCHEDULES_ENABLED", "false")
    tick = tick_at(runs=History(ACTIVE_RUN))
    assert why_no_run(tick) == "BATCH_SCHEDULES_ENABLED is false."
    assert skipped(schedules.evaluate_upkeep(tick)) == why_no_run(tick)


def test_an_active_run_is_named_with_what_it_does() -> None:
    tick = tick_at(runs=History(ACTIVE_RUN))
    said = "Run r1 is still active (queued since 2026-01-01 12:00:00 UTC)."
    assert why_no_run(tick) == said
    assert skipped(schedules.evaluate_processing(tick)) == said
    assert skipped(schedules.evaluate_upkeep(tick)) == said


def test_otherwise_a_run_may_start_and_no_database_is_asked() -> None:
    # There is none in the environment.
    for runs in (History(), failed_runs(4)):
        assert why_no_run(tick_at(runs=runs)) is None
        started(schedules.evaluate_processing(tick_at(runs=runs)))
    started(schedules.evaluate_upkeep(tick_at(runs=failed_runs(9))))


def test_failed_runs_ask_for_a_pause(desk: Desk) -> None:
    runs = failed_runs(5)
    assert why_no_run(tick_at(NOON + timedelta(minutes=29), runs)) == PAUSED


def test_one_failed_run_may_be_enough(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCH_COOLDOWN_AFTER_FAILED_RUNS", "1")
    said = why_no_run(tick_at(runs=failed_runs(1)))
    assert said is not None
    assert said.startswith("The last run has failed: no run is started before 2026-01-01 12:30:00 ")
    assert "Its page says why" in said


def test_the_trial_after_it_is_the_failure_sensors_to_start(desk: Desk) -> None:
    over = NOON + timedelta(minutes=30)
    runs = failed_runs(5)
    assert why_no_run(tick_at(over, runs)) == (
        "The last 5 runs have failed, and the cooldown is over: failure_sensor starts a single "
        "run on trial."
    )
    # Should that sensor be off.
    assert why_no_run(tick_at(over + TRIAL_GRACE, runs)) is None


def test_a_run_that_succeeded_ends_it(desk: Desk) -> None:
    runs = failed_runs(6)
    runs.end(failed=False, at=NOON)
    assert why_no_run(tick_at(NOON, runs)) is None


def test_a_reset_ends_it_and_earlier_failures_count_no_more(desk: Desk) -> None:
    Cooldowns(desk.engine).reset_scheduler("the tests")
    reset_at = Cooldowns(desk.engine).scheduler().reset_at
    assert reset_at is not None
    runs = failed_runs(9, last_at=reset_at)
    assert why_no_run(tick_at(reset_at, runs)) is None
    for _ in range(4):
        runs.end(failed=True, at=reset_at + timedelta(minutes=1))
    assert judge(tick_at(reset_at, runs)).failed_runs == 4
    assert why_no_run(tick_at(reset_at + timedelta(minutes=1), runs)) is None
    runs.end(failed=True, at=reset_at + timedelta(minutes=1))
    said = why_no_run(tick_at(reset_at + timedelta(minutes=1), runs))
    assert said is not None
    assert said.startswith("The last 5 runs have failed")


def test_many_failures_are_not_counted_to_their_end(desk: Desk) -> None:
    said = why_no_run(tick_at(runs=failed_runs(20)))
    assert said is not None
    assert said.startswith("At least the last 8 runs have failed")


def test_a_pause_stands_while_nobody_can_say_whether_it_was_reset(unreachable: str) -> None:
    said = why_no_run(tick_at(runs=failed_runs(5)))
    assert said == (
        f'{PAUSED} Whether it was reset cannot be seen: The database "livedash" at 127.0.0.1, port '
        "9 does not answer: start the server, or check host and port in DATABASE_URL."
    )
    assert unreachable not in said
