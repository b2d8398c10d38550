"""`batch-assets dev` as a program: started and stopped as its user does, its processes by role."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil

from batch_assets.wiring import local_environment
from batch_assets_local import paths, stack

_WORDS: Final[Mapping[str, str]] = {
    "dev": "batch_assets.cli dev",
    "front": "code-server start",
    "code": "api grpc",
    "webserver": "dagster-webserver",
    "daemon": "dagster-daemon",
    "worker": "spawn_main",
    "supervisor": "batch_assets_local.supervisor",
    "server": "batch_assets_local.batch_server",
    "postgres": "postgres -D",
}
"""Words of each process's command line; a worker is the process of a run."""
ROLES: Final = tuple(_WORDS)
_STOP_SECONDS: Final = 90.0


class Dev:
    """One `batch-assets dev` on a local stack of its own."""

    def __init__(
        self, project_dir: Path, stack_name: str, output: Path, settings: Mapping[str, str]
    ) -> None:
        self._project_dir = project_dir
        self.stack_name = stack_name
        self.output = output
        self._settings = settings
        self.state_dir = stack.state_dir(project_dir, name=stack_name)
        self._program: subprocess.Popen[bytes] | None = None
        self.port = _free_port()

    def start(self) -> None:
        """Type the command."""
        with self.output.open("ab") as output:
            self._program = subprocess.Popen(  # noqa: S603 (it is our own)
                [sys.executable, "-m", "batch_assets.cli", "dev", "--port", str(self.port)],
                cwd=self._project_dir,
                env={**local_environment(name=self.stack_name), **self._settings},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    @property
    def has_ended(self) -> bool:
        """Whether the command itself has ended."""
        return self._program is None or self._program.poll() is not None

    def is_open(self) -> bool:
        """Whether the UI answers."""
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True
        return False

    def of_role(self, role: str) -> list[psutil.Process]:
        """Its living processes of a role."""
        return [process for process in self._processes() if _has_role(process, role)]

    def kill(self, roles: Sequence[str]) -> list[str]:
        """Kill every process of these roles, all at one moment; the roles that there were."""
        found = [(role, process) for role in roles for process in self.of_role(role)]
        for _, process in found:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGSTOP)
        for _, process in found:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        return sorted({role for role, _ in found})

    def end(self) -> int | None:
        """End the command as Ctrl-C does; its exit code, or `None` if it was never typed."""
        if self._program is None:
            return None
        if self._program.poll() is None:
            self._program.send_signal(signal.SIGINT)
            self._program.wait(_STOP_SECONDS)
        return self._program.returncode

    def stop(self) -> None:
        """End it as Ctrl-C does, and the stack with it."""
        self.end()
        for process in self._processes():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        stack.reset(self._project_dir, name=self.stack_name)

    def _processes(self) -> Iterator[psutil.Process]:
        """Those that its own environment tells, and those of its stack."""
        places_of_stack = (self.state_dir, paths.postgres_home(self.state_dir))
        for process in psutil.process_iter():
            try:
                is_mine = process.environ().get("BATCH_LOCAL_STACK") == self.stack_name
                named = " ".join(process.cmdline())
                is_dead = process.status() == psutil.STATUS_ZOMBIE
                if process.pid == os.getpid() or is_dead:
                    continue
                works_here = is_mine and process.cwd() == str(self._project_dir)
                if works_here or any(str(place) in named for place in places_of_stack):
                    yield process
            except (psutil.Error, OSError):
                continue


def _has_role(process: psutil.Process, role: str) -> bool:
    try:
        return _WORDS[role] in " ".join(process.cmdline())
    except psutil.Error:
        return False


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
