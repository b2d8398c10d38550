"""The failure sensor: it keeps the cooldown, tries it with one run, and takes it away."""

from datetime import timedelta

import pytest

from batch_assets.sensors.failure import evaluate
from batch_assets.store.breakers import Cooldowns
from batch_assets_tests.store.queries.support import Desk
from batch_assets_tests.ticks.support import (
    ACTIVE_RUN,
    NOON,
    History,
    cursor_of,
    failed_runs,
    skipped,
    started,
    tick_at,
)

HALF_AN_HOUR = timedelta(minutes=30)


@pytest.fixture
def cooldowns(desk: Desk) -> Cooldowns:
    return Cooldowns(desk.engine)


def test_nothing_has_failed(cooldowns: Cooldowns) -> None:
    answer = evaluate(tick_at(), None)
    assert skipped(answer) == "No run has ended yet."
    runs = History()
    runs.end(failed=False, at=NOON)
    said = "The last run has succeeded, or failed runs were reset since."
    assert skipped(evaluate(tick_at(runs=runs), cursor_of(answer))) == said
    runs.end(failed=True, at=NOON)
    said = "The last run has failed; a cooldown begins after 5 in a row."
    assert skipped(evaluate(tick_at(runs=runs), cursor_of(answer))) == said


def test_failed_runs_are_noticed_and_the_pause_is_kept(cooldowns: Cooldowns) -> None:
    answer = evaluate(tick_at(runs=failed_runs(5)), None)
    assert skipped(answer).startswith("The last 5 runs have failed: no run is started before")
    kept = cooldowns.scheduler()
    assert (kept.failed_runs, kept.until) == (5, NOON + HALF_AN_HOUR)
    assert kept.reason == "The last 5 runs have failed"
    # It is written once.
    cooldowns.end_scheduler_cooldown()
    evaluate(tick_at(runs=failed_runs(5)), cursor_of(answer))
    assert cooldowns.scheduler().until is None


def test_after_it_one_run_is_started_on_trial(cooldowns: Cooldowns) -> None:
    runs = failed_runs(5)
    tick = tick_at(NOON + HALF_AN_HOUR, runs)
    request = started(evaluate(tick, None))
    assert request.run_key == "trial-run-5"
    assert request.tags["batch_assets/reason"] == (
        "The last 5 runs have failed: a single run on trial"
    )
    runs.current = ACTIVE_RUN
    assert skipped(evaluate(tick, None)) == (
        "The last 5 runs have failed. Run r1 is still active (queued since 2026-01-01 12:00:00 "
        "UTC)."
    )


def test_a_trial_that_fails_doubles_the_pause(cooldowns: Cooldowns) -> None:
    runs = failed_runs(5)
    answer = evaluate(tick_at(runs=runs), None)
    failed_at = NOON + HALF_AN_HOUR
    runs.end(failed=True, at=failed_at)
    answer = evaluate(tick_at(failed_at, runs), cursor_of(answer))
    assert skipped(answer).startswith("The last 6 runs have failed: no run is started before")
    assert cooldowns.scheduler().until == failed_at + 2 * HALF_AN_HOUR
    trial = evaluate(tick_at(failed_at + 2 * HALF_AN_HOUR, runs), cursor_of(answer))
    assert started(trial).run_key == "trial-run-6"


def test_a_trial_that_succeeds_ends_it(cooldowns: Cooldowns) -> None:
    runs = failed_runs(5)
    answer = evaluate(tick_at(runs=runs), None)
    runs.end(failed=False, at=NOON + HALF_AN_HOUR)
    answer = evaluate(tick_at(NOON + HALF_AN_HOUR, runs), cursor_of(answer))
    assert skipped(answer).startswith("The last run has succeeded")
    assert cooldowns.scheduler().until is None


def test_a_reset_ends_it_at_once(cooldowns: Cooldowns) -> None:
    cooldowns.reset_scheduler("the tests")
    reset_at = cooldowns.scheduler().reset_at
    assert reset_at is not None
    runs = failed_runs(5, last_at=reset_at + timedelta(minutes=20))
    answer = evaluate(tick_at(reset_at + timedelta(minutes=20), runs), None)
    assert cooldowns.scheduler().until == reset_at + timedelta(minutes=50)
    assert cooldowns.reset_scheduler("the tests")
    runs = failed_runs(5, last_at=reset_at)
    answer = evaluate(tick_at(reset_at, runs), cursor_of(answer))
    assert skipped(answer).endswith("or failed runs were reset since.")
    assert cooldowns.scheduler().until is None


def test_without_pauses_it_says_so(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCH_COOLDOWN_MINUTES", "0")
    assert skipped(evaluate(tick_at(runs=failed_runs(8)), None)) == (
        "The last 8 runs have failed; BATCH_COOLDOWN_MINUTES is 0, so there is no cooldown."
    )


def test_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCH_SCHEDULES_ENABLED", "false")
    assert (
        skipped(evaluate(tick_at(runs=failed_runs(5)), None)) == "BATCH_SCHEDULES_ENABLED is false."
    )


def test_without_the_database_the_pause_holds_and_is_tried(unreachable: str) -> None:
    runs = failed_runs(5)
    answer = evaluate(tick_at(runs=runs), None)
    assert "Whether it was reset cannot be seen" in skipped(answer)
    assert cursor_of(answer) is None, "it is kept by a later tick"
    started(evaluate(tick_at(NOON + HALF_AN_HOUR, runs), None))


def test_while_nothing_fails_no_database_is_asked(unreachable: str) -> None:
    assert skipped(evaluate(tick_at(runs=failed_runs(4)), "no cooldown")) == (
        "The last 4 runs have failed; a cooldown begins after 5 in a row."
    )
