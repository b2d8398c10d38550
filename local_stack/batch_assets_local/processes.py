"""Starting, finding and ending processes, known by what they are and not by a number in a file."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import psutil

from batch_assets.domain.errors import LocalStackError
from batch_assets_local.paths import Account


@dataclass(frozen=True)
class Process:
    """A process of this machine; never another one that got its id later."""

    pid: int
    command: tuple[str, ...]
    _handle: Any = field(repr=False)
    _child: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def is_alive(self) -> bool:
        """Whether it still runs; one that has ended is reaped if it was our child."""
        if self._child is not None:
            return self._child.poll() is None
        try:
            self._handle.wait(timeout=0)
        except psutil.TimeoutExpired:
            try:
                return bool(self._handle.status() != psutil.STATUS_ZOMBIE)
            except psutil.NoSuchProcess:
                return False
        return False

    def end(self, signals: Sequence[signal.Signals], *, patience_seconds: float) -> None:
        """Send the signals one after the other, each with this much time to take effect.

        Raises:
            LocalStackError: it lives on after all of them.
        """
        for number in signals:
            try:
                self._handle.send_signal(number)
            except psutil.NoSuchProcess:
                return
            give_up = time.monotonic() + patience_seconds
            while time.monotonic() < give_up:
                if not self.is_alive():
                    return
                time.sleep(0.01)
        raise LocalStackError(f"process {self.pid} does not end; end it by hand.")


class Log:
    """A file that takes up what a program says, over all of its starts."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._last_start = 0

    def open_for_start(self) -> BinaryIO:
        """The file, ready for what the program says from now on."""
        log = self._path.open("ab")
        self._last_start = log.tell()
        return log

    def telling_line(self) -> str:
        """The line since the last start that says most about a failure."""
        with self._path.open("rb") as log:
            log.seek(self._last_start)
            return telling_line(log.read().decode(errors="replace"))


def spawn(
    command: Sequence[str],
    *,
    log: Log,
    account: Account | None = None,
    environment: dict[str, str] | None = None,
) -> Process:
    """Start a program in a session of its own, so that a Ctrl-C in a terminal is not for it.

    Both of its outputs go to `log`. It runs under `account`, where that is another than ours.
    """
    with log.open_for_start() as output:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            env=environment,
            start_new_session=True,
            **as_account(account),
        )
    return Process(child.pid, tuple(command), psutil.Process(child.pid), child)


def as_account(account: Account | None) -> dict[str, Any]:
    """The arguments of `subprocess` that run a program under the account and nothing more."""
    if account is None or account.uid == os.geteuid():
        return {}
    return {"user": account.uid, "group": account.gid, "extra_groups": []}


def find(is_ours: Callable[[tuple[str, ...]], bool]) -> list[Process]:
    """The living processes whose command line `is_ours` accepts.

    A fork has its parent's command line until it sets another: only the parent is given.
    """
    found: dict[int, Process] = {}
    parents: dict[int, int] = {}
    for handle in psutil.process_iter(["cmdline", "ppid"]):
        command = tuple(handle.info["cmdline"] or ())
        if command and is_ours(command):
            found[handle.pid] = Process(handle.pid, command, handle)
            parents[handle.pid] = handle.info["ppid"]
    return [process for pid, process in found.items() if parents[pid] not in found]


def with_id(process_id: int) -> Process | None:
    """The process that has this id now."""
    try:
        handle = psutil.Process(process_id)
        return Process(process_id, tuple(handle.cmdline()), handle)
    except psutil.NoSuchProcess:  # a zombie included
        return None


def exists(process_id: int) -> bool:
    """Whether any process has this id now."""
    return bool(psutil.pid_exists(process_id))


def telling_line(output: str) -> str:
    """The line of a program's output that says most about why it failed."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    telling = [line for line in lines if "FATAL" in line or "error" in line.lower()]
    return (telling or lines or ["it said nothing"])[-1]
