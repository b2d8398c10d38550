"""A run's process says that it lives, and heeds what is wanted of it."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from multiprocessing import Queue

import psutil
import pytest
from sqlalchemy import Engine, create_engine

from batch_assets.domain.errors import DatabaseUnavailableError
from batch_assets.domain.hosts import ProcessName
from batch_assets.resources.heartbeat import Heartbeat, beating, end_with_run, lives, this_process
from batch_assets.store.runs import RunProcesses

HERE = this_process()
SECONDS = 0.02


@pytest.fixture
def child() -> Iterator[tuple[subprocess.Popen[bytes], ProcessName]]:
    """A process, and how it would call itself."""
    code = "from batch_assets.resources.heartbeat import this_process as t; import json, time\n"
    code += "print(t().started_ticks, flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout is not None
    ticks = int(process.stdout.readline())
    yield process, replace(HERE, pid=process.pid, started_ticks=ticks)
    process.kill()
    process.wait()
    process.stdout.close()


def test_it_is_seen_as_long_as_it_lives(
    child: tuple[subprocess.Popen[bytes], ProcessName],
) -> None:
    process, name = child
    assert lives(name) is True
    # Another one had this id before it.
    assert lives(replace(name, started_ticks=name.started_ticks - 1)) is False
    # There is a process with this id here, but it is not the one.
    assert lives(replace(name, host="another host")) is None

    process.send_signal(signal.SIGSTOP)
    while psutil.Process(process.pid).status() != psutil.STATUS_STOPPED:
        time.sleep(0.01)
    assert lives(name) is None, "it may go on or not"

    process.kill()
    while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    assert lives(name) is False
    process.wait()
    assert lives(name) is False


def test_this_process_lives() -> None:
    assert HERE.pid == os.getpid()
    assert lives(HERE) is True


@pytest.fixture
def processes(emptied_engine: Engine) -> RunProcesses:
    return RunProcesses(emptied_engine)


def wait_until(is_so: Callable[[], object]) -> None:
    give_up = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < give_up
        time.sleep(0.01)


class Ends:
    """How a heartbeat ends its process, counted."""

    def __init__(self) -> None:
        self.interrupts = 0
        self.has_died = threading.Event()

    def interrupt(self) -> None:
        self.interrupts += 1


def begun(ends: Ends, open_processes: Callable[[], RunProcesses]) -> Heartbeat:
    heartbeat = Heartbeat(
        "r1",
        open_processes,
        interrupt=ends.interrupt,
        die=ends.has_died.set,
        seconds=SECONDS,
    )
    heartbeat.start()
    return heartbeat


def test_it_is_heard_until_it_ends(processes: RunProcesses) -> None:
    heartbeat = begun(Ends(), lambda: processes)
    wait_until(lambda: processes.trace("r1").processes)
    (first,) = processes.trace("r1").processes
    assert first.name == this_process()
    wait_until(lambda: processes.trace("r1").last_beat_at != first.beat_at)
    heartbeat.stop()
    (last,) = processes.trace("r1").processes
    assert last.has_ended


def test_it_interrupts_once_when_the_run_is_to_end(processes: RunProcesses) -> None:
    ends = Ends()
    heartbeat = begun(ends, lambda: processes)
    processes.ask_to_end("r1")
    wait_until(lambda: ends.interrupts)
    before = processes.trace("r1").last_beat_at
    wait_until(lambda: processes.trace("r1").last_beat_at != before)
    heartbeat.stop()
    assert ends.interrupts == 1
    assert not ends.has_died.is_set()


def test_it_dies_when_it_was_given_up(processes: RunProcesses) -> None:
    ends = Ends()
    heartbeat = begun(ends, lambda: processes)
    wait_until(lambda: processes.give_up("r1", processes.trace("r1")))
    assert ends.has_died.wait(60)
    heartbeat.stop()


def test_it_goes_on_when_the_database_is_there_again(
    processes: RunProcesses, caplog: pytest.LogCaptureFixture
) -> None:
    nowhere = RunProcesses(create_engine("postgresql+psycopg://127.0.0.1:9/nowhere"))
    ways: list[Callable[[], RunProcesses]] = [lambda: nowhere, not_yet, lambda: processes]

    def open_processes() -> RunProcesses:
        return ways.pop(0)()

    heartbeat = begun(Ends(), open_processes)
    wait_until(lambda: processes.trace("r1").processes)
    heartbeat.stop()
    said = [record.getMessage() for record in caplog.records]
    assert [sentence.partition("(")[2].partition(")")[0] for sentence in said] == [
        *("OperationalError", "DatabaseUnavailableError")
    ]


def work_as_a_step(told: "Queue[ProcessName]", is_the_runs_own: bool) -> None:
    with beating("r1") if is_the_runs_own else nullcontext():
        end_with_run("r1")
        told.put(this_process())
        time.sleep(600)


def start_a_step(told: "Queue[ProcessName]", is_the_runs_own: bool) -> None:
    context = multiprocessing.get_context("fork")
    context.Process(target=work_as_a_step, args=(told, is_the_runs_own)).start()
    time.sleep(600)


@pytest.mark.parametrize("is_the_runs_own", [False, True])
def test_a_process_of_an_op_ends_with_that_of_its_run(is_the_runs_own: bool) -> None:
    context = multiprocessing.get_context("spawn")
    told: Queue[ProcessName] = context.Queue()
    parent = context.Process(target=start_a_step, args=(told, is_the_runs_own))
    parent.start()
    step = told.get(timeout=300)
    assert lives(step)
    parent.kill()
    parent.join()
    if is_the_runs_own:
        time.sleep(1)
        assert lives(step), "a run outlives what has started it"
        os.kill(step.pid, signal.SIGKILL)
    wait_until(lambda: lives(step) is False)


def test_nothing_is_followed_by_a_process_that_no_other_has_made() -> None:
    before = threading.active_count()
    end_with_run("r1")
    assert threading.active_count() == before


def not_yet() -> RunProcesses:
    raise DatabaseUnavailableError("It is about to start.")


def test_a_run_that_is_over_before_the_first_beat_asks_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    heartbeat = Heartbeat("r1", not_yet, interrupt=not_yet, die=not_yet, seconds=60)
    heartbeat.start()
    heartbeat.stop()
    assert caplog.records == [], "not_yet would be told of"
