"""Processes that are begun and ended as one: what `batch-assets serve` and `dev` are made of.

What a program has started that was killed lives on without it, on its port, ticking. And of a code
server that reloads code the half may die that holds ours: the other half answers on, and nothing
runs any more.
"""

import ctypes
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import BinaryIO, Final

import psutil

from batch_assets.domain.errors import BatchAssetsError
from batch_assets.domain.hosts import ProcessName
from batch_assets.project_files import PROJECT_DIR

OWNER: Final = "BATCH_ASSETS_DEV"
"""In the environment of everything that `serve` and `dev` start: which process that was."""
_END_SECONDS: Final = 10.0
_FRONT: Final = ("code-server", "start")
_BACK: Final = ("api", "grpc")
STEPS = ((signal.SIGINT, 20.0), (signal.SIGTERM, 10.0), (signal.SIGKILL, 5.0))
"""What the processes are sent in turn, and how many seconds they may take to end."""
TICK_SECONDS = 0.1

_SET_DEATH_SIGNAL = 1
# Looked up before there is a fork, in which little may be done.
_prctl = getattr(ctypes.CDLL(None), "prctl", None)


class StopSignals:
    """While entered, counts the signals that would end this program, instead of dying of them."""

    def __init__(self) -> None:
        self.count = 0
        self._handlers: dict[signal.Signals, object] = {}

    def __enter__(self) -> "StopSignals":
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self._handlers[number] = signal.signal(number, self._count)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)  # type: ignore[arg-type] # it came from signal.signal

    def _count(self, _number: int, _frame: FrameType | None) -> None:
        self.count += 1


class ProcessSession:
    """A program in a session of its own, so that it ends when we say, not with the terminal.

    Where the kernel can do that (Linux) the program is told to end when this one is killed. What it
    prints goes to `output`, by default where this one's does.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        directory: Path,
        environment: Mapping[str, str],
        output: BinaryIO | None = None,
    ) -> None:
        self._leader = subprocess.Popen(  # noqa: S603 (the command line is our own)
            command,
            cwd=directory,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=end_with_parent,  # noqa: PLW1509 (it makes one system call)
        )

    @property
    def pid(self) -> int:
        """The id of the program itself."""
        return self._leader.pid

    @property
    def exit_code(self) -> int | None:
        """How the program itself has ended, a signal as a negative number; `None` before that.

        What it has started may still run.
        """
        return self._leader.poll()

    def members(self) -> list[int]:
        """The living processes of the session; one that has ended is reaped if it was ours."""
        self._leader.poll()
        return [pid for pid in psutil.pids() if self._is_member(pid)]

    def _is_member(self, pid: int) -> bool:
        try:
            return (
                os.getsid(pid) == self._leader.pid
                and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
            )
        except (ProcessLookupError, psutil.NoSuchProcess):
            return False


def stop(sessions: Sequence[ProcessSession], is_urgent: Callable[[], bool]) -> None:
    """End every process of some sessions; at once when it becomes urgent.

    The programs are asked first, since each ends what it has started in good order.

    Raises:
        BatchAssetsError: Some do not end.
    """
    for number, patience_seconds in STEPS:
        for session in sessions:
            asked = [session.pid] if session.exit_code is None else []
            for pid in asked if number is signal.SIGINT else session.members():
                _send(pid, number)
        give_up = time.monotonic() + patience_seconds
        while _left_of(sessions) and time.monotonic() < give_up:
            if number is signal.SIGINT and all(one.exit_code is not None for one in sessions):
                break
            if is_urgent() and number is not signal.SIGKILL:
                break
            time.sleep(TICK_SECONDS)
    left = _left_of(sessions)
    if left:
        raise BatchAssetsError(f"Processes {left} do not end: end them by hand.")


def _left_of(sessions: Sequence[ProcessSession]) -> list[int]:
    return [pid for session in sessions for pid in session.members()]


def end_with_parent() -> None:
    """Let the kernel send SIGTERM to this process when the one that has started it is gone."""
    if _prctl is not None:
        _prctl(_SET_DEATH_SIGNAL, signal.SIGTERM)


def owner() -> str:
    """How this process is named to what it starts."""
    from batch_assets.resources.heartbeat import this_process

    return json.dumps(asdict(this_process()))


class CodeServers:
    """Notices that the half of a code server has died which holds our code."""

    def __init__(self, leader: int) -> None:
        self._leader = leader
        self._whole: set[int] = set()
        self._halved: set[int] = set()

    def mend(self) -> None:
        """Kill the half that is left, for Dagster to start both; to be called now and then."""
        fronts = {one.pid: _has_back(one) for one in _children(self._leader) if _is(one, _FRONT)}
        self._whole |= {pid for pid, is_whole in fronts.items() if is_whole}
        halved = {pid for pid, is_whole in fronts.items() if not is_whole} & self._whole
        # Seen twice: while code is reloaded there may be none for a moment.
        for pid in halved & self._halved:
            os.kill(pid, signal.SIGKILL)
        self._halved = halved


def end_left_behind() -> int:
    """End what was left by a `serve` or `dev` that was killed; how many processes."""
    left = list(_left_behind())
    for process in left:
        process.terminate()
    _, stubborn = psutil.wait_procs(left, timeout=_END_SECONDS)
    for process in stubborn:
        process.kill()
    psutil.wait_procs(stubborn, timeout=_END_SECONDS)
    return len(left)


def _left_behind() -> Iterator[psutil.Process]:
    from batch_assets.resources.heartbeat import lives

    for process in psutil.process_iter():
        try:
            owned_by = process.environ().get(OWNER)
            is_ours = owned_by is not None and Path(process.cwd()) == PROJECT_DIR
        except (psutil.Error, OSError):
            continue  # another user's, or it has just ended
        if is_ours and lives(ProcessName(**json.loads(str(owned_by)))) is False:
            yield process


def _children(pid: int) -> list[psutil.Process]:
    try:
        return list(psutil.Process(pid).children())
    except psutil.NoSuchProcess:
        return []


def _has_back(front: psutil.Process) -> bool:
    return any(_is(child, _BACK) for child in _children(front.pid))


def _is(process: psutil.Process, words: tuple[str, ...]) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE and set(words) <= set(process.cmdline())
    except psutil.Error:
        return False


def _send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
