"""Who this process is, whether another one of its host lives, and the heartbeat of a run's process.

The kernel is asked of this host. Others learn by the heartbeat: a thread that says every few
seconds that the process lives. It works on connections of its own, so that it neither waits for the
run nor keeps it up. While the database cannot be reached it tries on, and the run does what it
would do without.
"""

import multiprocessing
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NoReturn
from uuid import uuid4

import psycopg
from sqlalchemy.exc import DBAPIError

from batch_assets.domain.errors import BatchAssetsError
from batch_assets.domain.hosts import BEAT_SECONDS, ProcessName
from batch_assets.domain.logs import open_log
from batch_assets.settings import load_settings
from batch_assets.store.engine import open_engine_for_looks
from batch_assets.store.runs import RunProcesses, Wanted
from batch_assets.wiring import connect

_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
_ENDED: Final = "ZXx"
_STOPPED: Final = "Tt"
END_SECONDS: Final = 5.0
"""How long the end of a run waits for the last word of its heart."""

_log = open_log(__name__)
_runs_here: Final[set[str]] = set()
"""The runs of which this process is the first, and not one that was started for an op."""


def this_process() -> ProcessName:
    """The name of this process; on a system without /proc no other one can look it up."""
    try:
        host = f"{_BOOT.read_text(encoding='ascii').strip()} {Path('/proc/self/ns/pid').readlink()}"
        ticks = _state_and_start(os.getpid())[1]
    except OSError:
        host, ticks = f"unknown {uuid4()}", 0
    return ProcessName(host, os.getpid(), ticks, socket.gethostname())


def lives(name: ProcessName) -> bool | None:
    """Whether a process lives; `None` if this one cannot see it, or nobody can tell by looking.

    One that is stopped may never go on: what it says, or does not say, has to tell.
    """
    if name.host != this_process().host:
        return None
    try:
        state, start = _state_and_start(name.pid)
    except OSError:
        return None if _exists(name.pid) else False
    if start != name.started_ticks or state in _ENDED:
        return False
    return None if state in _STOPPED else True


def _exists(pid: int) -> bool:
    """Also of a process that /proc hides from us, as with the mount option hidepid."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _state_and_start(pid: int) -> tuple[str, int]:
    """The third and the 22nd field of proc(5)'s stat; the second, in brackets, may hold blanks."""
    text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    fields = text.rpartition(")")[2].split()
    return fields[0], int(fields[19])


class Heartbeat:
    """The heartbeat of this process for one run.

    A person may want the run to end: then it is interrupted as by Ctrl-C. A run that counts as dead
    already ends at once, as if it had been killed: its record is closed, and another one may have
    taken its place.
    """

    def __init__(
        self,
        run_id: str,
        open_processes: Callable[[], RunProcesses],
        *,
        interrupt: Callable[[], object],
        die: Callable[[], object],
        seconds: float = BEAT_SECONDS,
    ) -> None:
        self._run_id = run_id
        self._open_processes = open_processes
        self._interrupt = interrupt
        self._die = die
        self._seconds = seconds
        self._is_over = threading.Event()
        self._was_interrupted = False
        self._thread = threading.Thread(target=self._work, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Begin: the first beat is some seconds away, so that a short run asks for none."""
        self._thread.start()

    def stop(self) -> None:
        """Say that this process is done with the run, if it was ever heard of."""
        self._is_over.set()
        self._thread.join(END_SECONDS)

    def _work(self) -> None:
        name, processes, was_heard = this_process(), None, False
        while not self._is_over.wait(self._seconds) or was_heard:
            try:
                processes = processes or self._open_processes()
                if self._is_over.is_set():
                    processes.end(self._run_id, name)
                else:
                    self._heed(processes.beat(self._run_id, name))
                    was_heard = True
            except (BatchAssetsError, DBAPIError, psycopg.Error) as error:
                # Its own text may quote a row. It may be elsewhere when it is there again.
                processes = None
                _log.warning(
                    "The database does not hear that this run lives (%s): it is told again in "
                    "%.0f s.",
                    type(error).__name__,
                    self._seconds,
                )
            if self._is_over.is_set():
                return

    def _heed(self, wanted: Wanted) -> None:
        if wanted.is_given_up:
            self._die()
        elif wanted.is_to_end and not self._was_interrupted:
            self._was_interrupted = True
            self._interrupt()


@contextmanager
def beating(run_id: str) -> Iterator[None]:
    """Let others see that this process works on a run, for as long as it is in here."""
    heartbeat = Heartbeat(
        run_id,
        open_run_processes,
        interrupt=lambda: os.kill(os.getpid(), signal.SIGINT),
        die=lambda: _die(run_id, "was not heard of for so long that it was given up"),
    )
    _runs_here.add(run_id)
    heartbeat.start()
    try:
        yield
    finally:
        heartbeat.stop()
        _runs_here.discard(run_id)


def end_with_run(run_id: str) -> None:
    """Let a process that was started for an op of a run end as soon as the run's own one has.

    That one has the heartbeat: without it the run counts as dead, and another one takes its place.
    In the run's own process there is nothing to do.
    """
    parent = multiprocessing.parent_process()
    if parent is None or run_id in _runs_here:
        return

    def follow() -> None:
        parent.join()
        _die(run_id, "has lost its process")

    threading.Thread(target=follow, name="end with run", daemon=True).start()


def open_run_processes() -> RunProcesses:
    """Where runs are, on the database that the settings of this process lead to."""
    return RunProcesses(open_engine_for_looks(connect(load_settings()).database_url))


def _die(run_id: str, why: str) -> NoReturn:
    os.write(2, f"Run {run_id} {why}: this process ends, and the next run carries on.\n".encode())
    # Of an executor that gives each op a process: they must not outlive their run.
    for process in multiprocessing.active_children():
        process.kill()
    os._exit(1)
