"""Who this process is, and whether another one of the same host lives: asked of the kernel."""

import os
import socket
from pathlib import Path
from typing import Final
from uuid import uuid4

from batch_assets.domain.hosts import ProcessName

_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
_ENDED: Final = "ZXx"
_STOPPED: Final = "Tt"


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
