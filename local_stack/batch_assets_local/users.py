"""Who uses a stack: a locked file for each process, which its death unlocks however it dies.

All functions expect that the caller holds the lock on the state directory.
"""

import fcntl
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from batch_assets_local.locks import is_in_place, try_lock


@dataclass(frozen=True)
class _Registration:
    path: Path
    descriptor: int
    process_id: int


_held: dict[Path, _Registration] = {}


def register(state_dir: Path) -> None:
    """Make this process a user of the stack; asking again changes nothing."""
    held = _held.get(state_dir)
    if held and held.process_id == os.getpid() and is_in_place(held.descriptor, held.path):
        return
    unregister(state_dir)
    home = state_dir / "users"
    home.mkdir(mode=0o700, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f"{os.getpid()}-", dir=home)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    _held[state_dir] = _Registration(Path(name), descriptor, os.getpid())


def unregister(state_dir: Path) -> None:
    """Let go of the stack, as this process's end would."""
    held = _held.pop(state_dir, None)
    if held is None:
        return
    if held.process_id == os.getpid():  # else it is that of the process we were forked from
        held.path.unlink(missing_ok=True)
    os.close(held.descriptor)


def any_alive(state_dir: Path) -> bool:
    """Whether a registered process lives; forgets those that do not."""
    alive = False
    home = state_dir / "users"
    for path in home.iterdir() if home.is_dir() else ():
        descriptor = try_lock(path)
        if descriptor is None:
            alive = True
        else:
            path.unlink(missing_ok=True)
            os.close(descriptor)
    return alive
