"""The backlog sensor: when it starts a run, and what it says when it does not."""

from datetime import UTC, datetime, timedelta

import pytest

from batch_assets.domain.errors import DatabaseUnavailableError
from batch_assets.sensors.backlog import decide, evaluate
from batch_assets.store.watching import NewlyDue
from batch_assets.ticks.starting import TickContext
from batch_assets_tests.factories import make_company, make_external_batch, make_requests
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

DUE = NewlyDue(companies=3, large_companies=2, requests=40, fingerprint="f1", waiting_companies=5)


def nothing_holds() -> None:
    return None


def not_asked() -> str | None:
    raise AssertionError("nobody has to know")


def now(runs: History | None = None) -> TickContext:
    return tick_at(datetime.now(UTC), runs)


def arrive(desk: Desk, count: int = 10, **options: object) -> str:
    with desk.engine.begin() as connection:
        company_id = make_company(connection)
        make_requests(connection, company_id, count, **options)  # type: ignore[arg-type]
    return company_id


def test_what_is_due_starts_a_run_once() -> None:
    answer = decide(DUE, None, nothing_holds)
    request = started(answer)
    assert request.run_key == cursor_of(answer) == "due-f1"
    assert request.tags["batch_assets/reason"] == (
        "3 companies have become due: 2 by size, 1 by age"
    )
    assert skipped(decide(DUE, "due-f1", not_asked)) == (
        "A run was started for this already (3 companies have become due: 2 by size, 1 by age); "
        "the schedule goes on with what it left."
    )
    started(decide(DUE, "due-f0", nothing_holds))


def test_while_nothing_can_be_submitted_it_says_so_and_keeps_its_cursor() -> None:
    one = NewlyDue(companies=1, large_companies=1, requests=10, fingerprint="f1")
    assert skipped(decide(one, None, lambda: "Confirm first.")) == (
        "1 company has become due: 1 by size, but nothing can be submitted now. Confirm first."
    )


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (NewlyDue(), "none waits."),
        (
            NewlyDue(waiting_companies=1, next_due_at=NOON),
            "one waits, the next is due by its age at 2026-01-01 12:00:00 UTC.",
        ),
        (
            NewlyDue(waiting_companies=4, models_in_cooldown=("a", "b"), cooling_until=NOON),
            "4 wait; requests for a, b are in cooldown until 2026-01-01 12:00:00 UTC at most.",
        ),
    ],
)
def test_when_nothing_is_due_it_says_what_waits(found: NewlyDue, said: str) -> None:
    assert skipped(decide(found, "due-f1", not_asked)) == (
        f"No company has become due since the last run looked: {said}"
    )


@pytest.mark.parametrize("runs", [History(ACTIVE_RUN), failed_runs(5, datetime.now(UTC))])
def test_an_active_run_or_a_pause_comes_first(desk: Desk, runs: History) -> None:
    arrive(desk)
    said = skipped(evaluate(now(runs), None))
    assert said.startswith(("Run r1 is still active", "The last 5 runs have failed: no run"))


def test_switched_off(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    arrive(desk)
    monkeypatch.setenv("BATCH_SCHEDULES_ENABLED", "false")
    assert skipped(evaluate(now(), None)) == "BATCH_SCHEDULES_ENABLED is false."


def test_a_company_that_is_due_starts_a_run(desk: Desk) -> None:
    assert skipped(evaluate(now(), None)).endswith(": none waits.")
    arrive(desk)
    answer = evaluate(now(), None)
    assert started(answer).tags["batch_assets/reason"] == "1 company has become due: 1 by size"
    assert skipped(evaluate(now(), cursor_of(answer))).startswith(
        "A run was started for this already"
    )
    arrive(desk, 1, age=timedelta(hours=1))
    again = started(evaluate(now(), cursor_of(answer)))
    assert again.tags["batch_assets/reason"] == ("2 companies have become due: 1 by size, 1 by age")


def test_an_unconfirmed_installation(desk: Desk) -> None:
    arrive(desk)
    desk.do("UPDATE batch_assets.installation SET confirmed_at = NULL")
    assert skipped(evaluate(now(), None)).startswith(
        "1 company has become due: 1 by size, but nothing can be submitted now. Nothing has been "
        "submitted from this database yet"
    )


def test_batches_of_livedash_itself(desk: Desk) -> None:
    company_id = arrive(desk)
    with desk.engine.begin() as connection:
        make_external_batch(connection, company_id)
    assert "its create timer has bought batches (1 seen)" in skipped(evaluate(now(), None))


def test_an_open_breaker(desk: Desk) -> None:
    arrive(desk)
    desk.do(
        "INSERT INTO batch_assets.breaker"
        " (operation, state, failures, code, reason, retry_at, changed_at)"
        " VALUES ('upload', 'open', 5, 'timeout', 'r', clock_timestamp() + interval '1 minute',"
        " clock_timestamp())"
    )
    assert "The API is not asked to take files now: 5 calls in a row failed" in skipped(
        evaluate(now(), None)
    )


def test_a_database_that_cannot_be_seen_is_no_empty_one(desk: Desk, unreachable: str) -> None:
    with pytest.raises(DatabaseUnavailableError, match="port 9 does not answer") as caught:
        evaluate(now(), None)
    assert unreachable not in str(caught.value)
