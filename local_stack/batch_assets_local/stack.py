"""The local stack as its users see it: attach, and it runs; end, and it is gone.

The stack is an embedded PostgreSQL and a local Batch API server, kept by one detached process
(`supervisor.py`). It runs as long as any process that has attached lives, and a little longer.
"""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from batch_assets.domain.errors import LocalStackError
from batch_assets_local import paths, processes, state_file, supervisor, users
from batch_assets_local.locks import locked, try_lock
from batch_assets_local.options import StackOptions
from batch_assets_local.paths import state_dir
from batch_assets_local.postgres import EmbeddedPostgres
from batch_assets_local.server_process import BatchServerProcess
from batch_assets_local.state_file import LocalStack

__all__ = [
    "LocalStack",
    "StackOptions",
    "attach",
    "detach",
    "is_used",
    "reset",
    "state_dir",
    "stop",
]

READY_SECONDS = 120.0
STOP_SECONDS = 60.0
ATTEMPTS = 3
# The supervisor outlives its launcher, and has no use for the keys in the launcher's environment.
INHERITED = ("PATH", "HOME", "LANG", "TMPDIR", "VIRTUAL_ENV", "XDG_STATE_HOME")
INHERITED_PREFIXES = ("LC_", "PYTHON")


def attach(
    project_dir: Path, *, name: str = "default", options: StackOptions | None = None
) -> LocalStack:
    """Make this process a user of the project's local stack, which is started if need be.

    Takes some milliseconds when the stack runs, about two seconds when it does not. `options`
    hold for a stack that is started by this call. `name` separates stacks: each has a database
    and a server of its own.

    Raises:
        LocalStackError: something does not start; it says what, and why.
    """
    chosen = options or StackOptions()
    directory = paths.make_state_dir(project_dir, name)
    stack = _join(directory, chosen.port)
    if stack is not None:
        return stack
    try:
        return _start(directory, chosen)
    except LocalStackError:
        detach(project_dir, name=name)
        raise


def detach(project_dir: Path, *, name: str = "default") -> None:
    """Let go of the stack before this process ends."""
    directory = paths.state_dir(project_dir, name)
    if directory.is_dir():
        with locked(directory):
            users.unregister(directory)


def is_used(project_dir: Path, *, name: str = "default") -> bool:
    """Whether a living process, this one included, uses the stack."""
    directory = paths.state_dir(project_dir, name)
    if not directory.is_dir():
        return False
    with locked(directory):
        return users.any_alive(directory)


def stop(project_dir: Path, *, name: str = "default") -> None:
    """Stop the stack now, whoever uses it; nothing happens when it does not run."""
    directory = paths.state_dir(project_dir, name)
    if directory.is_dir():
        with _stopped(directory):
            pass


def reset(project_dir: Path, *, name: str = "default") -> None:
    """Stop the stack now and remove its data, the database's and the server's."""
    # Made if it is missing: a database may be left of a directory that was removed by hand.
    directory = paths.make_state_dir(project_dir, name)
    with _stopped(directory):
        paths.remove(directory)
    with suppress(OSError):  # it holds other stacks, too
        directory.parent.rmdir()


def _join(directory: Path, port: int | None) -> LocalStack | None:
    """Become a user of the stack; gives it if it is ready."""
    with locked(directory):
        stack = state_file.read(directory)
        if stack is not None and port is not None and f":{port}/" not in stack.api_base_url:
            raise LocalStackError(
                f"the local stack already runs, at {stack.api_base_url} and not on port {port}; "
                "end it first with `batch-assets local stop`."
            )
        users.register(directory)
    return stack


def _start(directory: Path, options: StackOptions) -> LocalStack:
    """Start the stack, or join it when another process was about to start it."""
    launching = directory / "launching.lock"
    launching.touch(mode=0o600)
    log = processes.Log(directory / "supervisor.log")
    with locked(launching):
        for _ in range(ATTEMPTS):
            stack = _join(directory, options.port)
            if stack is not None:
                return stack
            report = _launch_supervisor(directory, options, log)
            if report not in {supervisor.READY, ""}:
                raise LocalStackError(report)
    raise LocalStackError(f"the local stack's supervisor dies as it starts: {log.telling_line()}")


def _launch_supervisor(directory: Path, options: StackOptions, log: processes.Log) -> str:
    """Start a supervisor and wait for its report, which is empty if it dies before."""
    hears, tells = os.pipe()
    with os.fdopen(hears) as ear:
        with os.fdopen(tells, "w"), log.open_for_start() as output:
            subprocess.run(
                [
                    *(sys.executable, "-P", "-m", supervisor.__name__),
                    *("--state-dir", str(directory)),
                    *("--options", options.to_json()),
                    *("--report-to", str(tells)),
                ],
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd="/",
                env=_supervisor_environment(),
                pass_fds=[tells],
                start_new_session=True,
            )
        if not select.select([ear], [], [], READY_SECONDS)[0]:
            raise LocalStackError(f"the local stack is not ready after {READY_SECONDS:.0f} s.")
        return ear.read()


def _supervisor_environment() -> dict[str, str]:
    return {
        name: value
        for name, value in os.environ.items()
        if name in INHERITED or name.startswith(INHERITED_PREFIXES)
    }


@contextmanager
def _stopped(directory: Path) -> Iterator[None]:
    """Stop the stack and keep it from being started for as long as the context lasts."""
    descriptor = _lock_of_an_ended_supervisor(directory)
    try:
        # A supervisor stops its servers; one that was killed has left them.
        BatchServerProcess(directory).stop()
        EmbeddedPostgres(directory).stop()
        yield
    finally:
        os.close(descriptor)


def _lock_of_an_ended_supervisor(directory: Path) -> int:
    path = state_file.supervisor_file(directory)
    give_up = time.monotonic() + STOP_SECONDS
    while time.monotonic() < give_up:
        descriptor = try_lock(path)
        if descriptor is not None:
            return descriptor
        process_id = state_file.supervisor_pid(directory)
        process = processes.with_id(process_id) if process_id is not None else None
        if process is not None:
            process.end([signal.SIGTERM], patience_seconds=STOP_SECONDS)
        time.sleep(0.02)
    raise LocalStackError(
        f"the supervisor of {directory} does not end after {STOP_SECONDS:.0f} s; see its log."
    )
