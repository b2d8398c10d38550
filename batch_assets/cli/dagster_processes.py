"""What `batch-assets dev` does about processes of Dagster's that were killed.

Dagster starts a code server anew when it dies as a whole, but not when the half of it dies that
holds our code: then nothing runs any more until somebody presses *Reload*. And what a program has
started that was killed lives on without it, on its port, ticking.
"""

import json
import os
import signal
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Final

import psutil

from batch_assets.domain.run_processes import ProcessName
from batch_assets.resources.this_process import lives, this_process
from batch_assets.wiring import PROJECT_DIR

OWNER: Final = "BATCH_ASSETS_DEV"
"""In the environment of everything that `batch-assets dev` starts: which process that was."""
_END_SECONDS: Final = 10.0
_FRONT: Final = ("code-server", "start")
_BACK: Final = ("api", "grpc")


def owner() -> str:
    """How this process is named to what it starts."""
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
    """End what was left by a `batch-assets dev` that was killed; how many processes."""
    left = list(_left_behind())
    for process in left:
        process.terminate()
    _, stubborn = psutil.wait_procs(left, timeout=_END_SECONDS)
    for process in stubborn:
        process.kill()
    psutil.wait_procs(stubborn, timeout=_END_SECONDS)
    return len(left)


def _left_behind() -> Iterator[psutil.Process]:
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
