"""The breakers' state in the database: how it moves, and that several runs may move it."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest
from sqlalchemy import Engine, text

from batch_assets.domain.breakers import Breaker, BreakerState
from batch_assets.domain.errors import Failure, FailureKind
from batch_assets.store.breakers import Breakers
from batch_assets.store.registry import Registry
from batch_assets_tests.policies import a_policy

POLICY = a_policy(breaker_failures=3, breaker_seconds=100, breaker_max_seconds=350)
TIMEOUT = Failure(FailureKind.TRANSIENT, "timeout", "no answer in time")
UPLOAD = "upload"


@pytest.fixture
def engine(emptied_engine: Engine) -> Engine:
    return emptied_engine


@pytest.fixture
def breakers(engine: Engine) -> Breakers:
    return Breakers(engine)


def fail(breakers: Breakers, times: int = 1, failure: Failure = TIMEOUT) -> Breaker:
    """The breaker of uploads after so many more failures."""
    counted = [breakers.count(UPLOAD, failure, POLICY, None) for _ in range(times)]
    assert counted[-1] is not None
    return counted[-1]


def let_its_time_pass(breakers: Breakers) -> None:
    with breakers.engine.begin() as connection:
        connection.execute(text("UPDATE batch_assets.breaker SET retry_at = clock_timestamp()"))


def fail_on_trial(breakers: Breakers) -> Breaker:
    let_its_time_pass(breakers)
    trial = breakers.begin_trial(UPLOAD, 60)
    assert trial is not None
    failed = breakers.count(UPLOAD, TIMEOUT, POLICY, trial.changed_at)
    assert failed is not None
    return failed


def test_it_opens_with_the_last_failure_that_is_allowed(breakers: Breakers) -> None:
    assert fail(breakers, 2).state is BreakerState.CLOSED
    opened = fail(breakers)
    assert (opened.state, opened.failures, opened.code) == (BreakerState.OPEN, 3, "timeout")
    assert 45 < opened.seconds_left <= 100


def test_an_answer_ends_what_failed_in_a_row(breakers: Breakers) -> None:
    fail(breakers, 2)
    assert breakers.forget(UPLOAD, None)
    assert breakers.all() == []
    assert fail(breakers, 2).state is BreakerState.CLOSED


def test_it_stays_open_for_as_long_as_the_server_asks(breakers: Breakers) -> None:
    opened = fail(breakers, 3, replace(TIMEOUT, retry_after_seconds=900))
    assert opened.seconds_left == pytest.approx(900, abs=10)
    at_once = a_policy(breaker_failures=1, breaker_seconds=1)
    first = breakers.count("x", replace(TIMEOUT, retry_after_seconds=9), at_once, None)
    assert first is not None
    assert first.seconds_left == pytest.approx(9, abs=1)


def test_each_failed_trial_doubles_it_up_to_a_bound(breakers: Breakers) -> None:
    fail(breakers, 3)
    for least, most in ((95, 200), (170, 350), (170, 350)):
        opened = fail_on_trial(breakers)
        assert opened.state is BreakerState.OPEN
        assert least < opened.seconds_left <= most


def test_a_trial_that_is_answered_closes_it(breakers: Breakers) -> None:
    fail(breakers, 3)
    let_its_time_pass(breakers)
    trial = breakers.begin_trial(UPLOAD, 60)
    assert trial is not None
    assert breakers.forget(UPLOAD, trial.changed_at)
    assert breakers.all() == []


def test_there_is_no_trial_before_its_time_nor_a_second_one(breakers: Breakers) -> None:
    fail(breakers, 3)
    assert breakers.begin_trial(UPLOAD, 60) is None
    let_its_time_pass(breakers)
    assert breakers.begin_trial(UPLOAD, 60) is not None
    assert breakers.begin_trial(UPLOAD, 60) is None
    let_its_time_pass(breakers)
    assert breakers.begin_trial(UPLOAD, 60) is not None, "the first one's run was killed"


def test_calls_that_were_begun_before_it_opened_change_nothing(breakers: Breakers) -> None:
    opened = fail(breakers, 3)
    assert breakers.count(UPLOAD, TIMEOUT, POLICY, None) is None
    assert not breakers.forget(UPLOAD, None)
    (now,) = breakers.all()
    assert replace(now, seconds_left=0) == replace(opened, seconds_left=0)


def test_a_trial_that_was_given_up_changes_nothing_of_the_next_one(breakers: Breakers) -> None:
    fail(breakers, 3)
    let_its_time_pass(breakers)
    first = breakers.begin_trial(UPLOAD, 60)
    let_its_time_pass(breakers)
    second = breakers.begin_trial(UPLOAD, 60)
    assert first is not None
    assert second is not None
    assert breakers.count(UPLOAD, TIMEOUT, POLICY, first.changed_at) is None
    assert not breakers.forget(UPLOAD, first.changed_at)
    assert breakers.forget(UPLOAD, second.changed_at)


def test_a_reset_closes_it_and_names_what_was_not_closed(breakers: Breakers) -> None:
    fail(breakers, 3)
    breakers.count("create_batch", TIMEOUT, POLICY, None)
    assert breakers.reset([UPLOAD, "create_batch", "cancel_batch"]) == [UPLOAD]
    assert breakers.all() == []


def test_a_snapshot_sees_them_in_its_one_statement(breakers: Breakers) -> None:
    registry = Registry(breakers.engine, 900)
    assert registry.snapshot().breakers == ()
    fail(breakers, 3)
    (seen,) = registry.snapshot().breakers
    (stored,) = breakers.all()
    assert seen.seconds_left == pytest.approx(stored.seconds_left, abs=5)
    assert replace(seen, seconds_left=0) == replace(stored, seconds_left=0)


def test_processes_count_together_and_one_gets_the_trial(breakers: Breakers) -> None:
    url = breakers.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    running = [
        subprocess.Popen(
            [sys.executable, "-c", ANOTHER_PROCESS, url], stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    said = [json.loads(process.communicate(timeout=60)[0]) for process in running]
    assert sorted(said[0]["counted"] + said[1]["counted"]) == list(range(1, 21))
    assert sorted((said[0]["trials"], said[1]["trials"])) == [0, 1]


ANOTHER_PROCESS = """
import json, sys
from batch_assets.domain.errors import Failure, FailureKind
from batch_assets.store.breakers import Breakers
from batch_assets.store.engine import open_engine
from batch_assets_tests.policies import a_policy

breakers = Breakers(open_engine(sys.argv[1]))
failure = Failure(FailureKind.TRANSIENT, "timeout", "no answer in time")
policy = a_policy(breaker_failures=20, breaker_seconds=0)
counted = [breakers.count("upload", failure, policy, None).failures for _ in range(10)]
trials = 0
while breakers.all()[0].state != "half_open":
    trials += breakers.begin_trial("upload", 60) is not None
print(json.dumps({"counted": counted, "trials": trials}))
"""
"""Counts ten failures, and tries for the trial once the other process has counted as many."""
