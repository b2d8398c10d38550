"""A program with all processes that it starts: begun as one, ended as one."""

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType

import psutil

from batch_assets.domain.errors import BatchAssetsError

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

    Where the kernel can do that (Linux) the program is told to end when this one is killed.
    """

    def __init__(
        self, command: Sequence[str], *, directory: Path, environment: Mapping[str, str]
    ) -> None:
        self._leader = subprocess.Popen(  # noqa: S603 (the command line is our own)
            command,
            cwd=directory,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=end_with_parent,  # noqa: PLW1509 (it makes one system call)
        )

    @property
    def pid(self) -> int:
        """The id of the program itself."""
        return self._leader.pid

    @property
    def has_ended(self) -> bool:
        """Whether the program itself has ended; what it has started may still run."""
        return self._leader.poll() is not None

    def stop(self, is_urgent: Callable[[], bool]) -> None:
        """End every process of the session; at once when it becomes urgent.

        The program is asked first, since it ends what it has started in good order.
        """
        for number, patience_seconds in STEPS:
            for pid in [self._leader.pid] if number is signal.SIGINT else self._members():
                _send(pid, number)
            give_up = time.monotonic() + patience_seconds
            while self._members() and time.monotonic() < give_up:
                asked = number is signal.SIGINT
                if (asked and self.has_ended) or (is_urgent() and number is not signal.SIGKILL):
                    break
                time.sleep(TICK_SECONDS)
        left = self._members()
        if left:
            raise BatchAssetsError(f"Processes {left} do not end: end them by hand.")

    def _members(self) -> list[int]:
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


def end_with_parent() -> None:
    """Let the kernel send SIGTERM to this process when the one that has started it is gone."""
    if _prctl is not None:
        _prctl(_SET_DEATH_SIGNAL, signal.SIGTERM)


def _send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
