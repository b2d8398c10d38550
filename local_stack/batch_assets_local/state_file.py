"""What a supervisor says of its stack, in a file that it holds locked as long as it lives."""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from batch_assets_local.locks import is_locked

# As earlier versions name them: one of those may still run, and is joined or ended all the same.
_NAME: Final = "keeper.json"
_PID: Final = "keeper_pid"


@dataclass(frozen=True)
class LocalStack:
    """A running local stack: where its database and its Batch API server answer."""

    database_url: str
    """A plain libpq URL; the caller puts the driver in."""

    api_base_url: str
    """Ends in `/v1`, as the openai SDK wants it."""

    api_key: str = field(repr=False)
    """The one key that this stack's server lets in: it never answers for another database."""

    state_dir: Path
    supervisor_pid: int


def supervisor_file(state_dir: Path) -> Path:
    """The file that the stack's supervisor holds locked."""
    return state_dir / _NAME


def write_starting(descriptor: int) -> None:
    """Say through the locked file that this process keeps the stack, which is not ready yet."""
    _write(descriptor, {_PID: os.getpid()})


def write_ready(descriptor: int, stack: LocalStack) -> None:
    """Say through the locked file that the stack is ready."""
    said = asdict(stack)
    pid = said.pop("supervisor_pid")
    _write(descriptor, {**said, "state_dir": str(stack.state_dir), _PID: pid})


def read(state_dir: Path) -> LocalStack | None:
    """The stack if it is ready, as far as its supervisor has said so."""
    said = _read(state_dir)
    if "database_url" not in said:
        return None
    return LocalStack(
        database_url=str(said["database_url"]),
        api_base_url=str(said["api_base_url"]),
        api_key=str(said["api_key"]),
        state_dir=state_dir,
        supervisor_pid=int(said[_PID]),
    )


def supervisor_pid(state_dir: Path) -> int | None:
    """The process id of the living supervisor, if there is one and it has said so."""
    pid = _read(state_dir).get(_PID)
    return None if pid is None else int(pid)


def _read(state_dir: Path) -> dict[str, str | int]:
    """What the living supervisor says; nothing while there is none, or it is just writing."""
    path = supervisor_file(state_dir)
    if not is_locked(path):
        return {}
    try:
        said: dict[str, str | int] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return {}
    return said


def _write(descriptor: int, said: dict[str, str | int]) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(said).encode(), 0)
