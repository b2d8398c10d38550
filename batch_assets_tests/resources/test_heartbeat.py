"""A run's process says that it lives, and heeds what is wanted of it."""

import threading
import time
from collections.abc import Callable

import pytest
from sqlalchemy import Engine, create_engine

from batch_assets.domain.errors import DatabaseUnavailableError
from batch_assets.resources.heartbeat import Heartbeat
from batch_assets.resources.this_process import this_process
from batch_assets.store.run_processes import RunProcesses

SECONDS = 0.02


@pytest.fixture
def processes(emptied_engine: Engine) -> RunProcesses:
    return RunProcesses(emptied_engine)


def wait_until(is_so: Callable[[], object]) -> None:
    give_up = time.monotonic() + 20
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
    assert ends.has_died.wait(20)
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


def not_yet() -> RunProcesses:
    raise DatabaseUnavailableError("It is about to start.")


def test_a_run_that_is_over_before_the_first_beat_asks_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    heartbeat = Heartbeat("r1", not_yet, interrupt=not_yet, die=not_yet, seconds=60)
    heartbeat.start()
    heartbeat.stop()
    assert caplog.records == [], "not_yet would be told of"
