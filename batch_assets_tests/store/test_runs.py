"""Where runs are and what their ops hand on, on a real PostgreSQL."""

from typing import Any

import pytest
from sqlalchemy import Engine, text

from batch_assets.domain.hosts import ProcessName, RunTrace
from batch_assets.store.runs import RunProcesses, RunStates, Wanted

HERE = ProcessName("a host", 17, 4_711, "worker-1")
THERE = ProcessName("another host", 17, 4_711, "worker-2")
NOTHING = Wanted(is_given_up=False, is_to_end=False)


@pytest.fixture
def processes(emptied_engine: Engine) -> RunProcesses:
    return RunProcesses(emptied_engine)


def age(processes: RunProcesses, interval: str) -> None:
    with processes.engine.begin() as connection:
        statement = "UPDATE batch_assets.run_process SET beat_at = beat_at - CAST(:by AS interval)"
        connection.execute(text(statement), {"by": interval})


def rows(processes: RunProcesses) -> list[Any]:
    with processes.engine.begin() as connection:
        return list(connection.execute(text("SELECT * FROM batch_assets.run_process")))


def test_a_beat_is_heard(processes: RunProcesses) -> None:
    assert processes.trace("r1") == RunTrace([], is_given_up=False)
    for name in (HERE, THERE, HERE):
        assert processes.beat("r1", name) == NOTHING
    trace = processes.trace("r1")
    assert {one.name for one in trace.processes} == {HERE, THERE}
    assert all(0 <= one.silent_seconds < 10 for one in trace.processes)
    processes.end("r1", HERE)
    assert [one.name for one in processes.trace("r1").processes if one.has_ended] == [HERE]
    assert processes.trace("r2") == RunTrace([], is_given_up=False)


def test_a_run_that_is_given_up_hears_of_it(processes: RunProcesses) -> None:
    processes.beat("r1", HERE)
    assert processes.give_up("r1", processes.trace("r1"))
    assert processes.trace("r1").is_given_up
    assert [one.name for one in processes.trace("r1").processes] == [HERE]
    assert processes.beat("r1", HERE).is_given_up
    assert processes.beat("r2", HERE) == NOTHING
    # Also by a process that was never heard of until then.
    assert processes.give_up("r3", processes.trace("r3"))
    assert processes.beat("r3", THERE).is_given_up


def test_a_run_that_was_heard_of_meanwhile_is_not_given_up(processes: RunProcesses) -> None:
    never = processes.trace("r1")
    processes.beat("r1", HERE)
    once = processes.trace("r1")
    assert not processes.give_up("r1", never)
    processes.beat("r1", THERE)
    assert not processes.give_up("r1", once)
    assert processes.beat("r1", HERE) == NOTHING


def test_a_run_hears_that_it_is_to_end(processes: RunProcesses) -> None:
    processes.beat("r1", HERE)
    processes.ask_to_end("r1")
    processes.ask_to_end("r1")
    assert processes.beat("r1", HERE) == Wanted(is_given_up=False, is_to_end=True)
    assert not processes.trace("r1").is_given_up


def test_nobody_was_silent_before_the_server_could_hear(processes: RunProcesses) -> None:
    processes.beat("r1", HERE)
    age(processes, "40 days")
    with processes.engine.begin() as connection:
        up = connection.execute(
            text("SELECT extract(epoch FROM clock_timestamp() - pg_postmaster_start_time())")
        ).scalar_one()
    (process,) = processes.trace("r1").processes
    assert process.silent_seconds == pytest.approx(float(up), abs=2)


def test_what_is_of_no_use_any_more_goes_with_the_next_beat(processes: RunProcesses) -> None:
    processes.beat("r1", HERE)
    processes.ask_to_end("r1")
    age(processes, "25 hours")
    processes.beat("r2", THERE)
    assert [row.run_id for row in rows(processes)] == ["r2"]


def test_an_op_hands_on_by_run_and_op(engine: Engine) -> None:
    states = RunStates(engine)
    assert states.read("run-1", "load_companies") is None
    handed_on = {"seconds": 0.5, "companies": {"c1": "Zorg \u2028 \u00e9"}}
    states.keep("run-1", "load_companies", handed_on)
    states.keep("run-2", "load_companies", {"seconds": 1.0})
    states.keep("run-1", "submit_batches", {"failure": "It is broken."})
    assert states.read("run-1", "load_companies") == handed_on
    states.keep("run-1", "load_companies", {"seconds": 2.0})
    assert states.read("run-1", "load_companies") == {"seconds": 2.0}
    assert states.read("run-2", "load_companies") == {"seconds": 1.0}


def test_what_is_older_than_a_day_goes_by_itself(engine: Engine) -> None:
    states = RunStates(engine)
    states.keep("old", "submit_batches", {})
    with engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE batch_assets.run_state"
                " SET recorded_at = recorded_at - interval '1 day 1 minute'"
            )
        )
    states.keep("new", "submit_batches", {})
    assert states.read("old", "submit_batches") is None
    assert states.read("new", "submit_batches") == {}
