"""Dagster's processes as `batch-assets serve` and `dev` run them: kept alive, and ended as one.

Web server and daemon share one code server, over a socket that only this user may reach. They are
begun once it answers; each is started again when it has died.
"""

import os
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final
from urllib.parse import urlsplit

from batch_assets.cli.dagster_instance import MODULE, dagster_program
from batch_assets.cli.health import SILENT_SECONDS
from batch_assets.cli.part_output import bounded_log
from batch_assets.cli.processes import (
    OWNER,
    TICK_SECONDS,
    CodeServers,
    ProcessSession,
    StopSignals,
    owner,
    stop,
)
from batch_assets.cli.screen import console
from batch_assets.domain.errors import BatchAssetsError
from batch_assets.project_files import PROJECT_DIR

TRIES: Final = 5
"""A part that has never lived for long is given up when it has ended so often."""
WRONG_OPTION: Final = 2
"""How Dagster's programs end that do not know what they were told: each time."""
LIVED_SECONDS: Final = 60.0
"""A part that has lived so long could start: it is never given up after that."""
LONGEST_PAUSE_SECONDS: Final = 60.0
_MEND_SECONDS: Final = 2.0
_WORKSPACE: Final = """load_from:
  - grpc_server:
      socket: {socket}
      location_name: batch_assets
"""
_WARNINGS: Final = "warning"
"""Of Dagster's own programs only these are shown: the daemon says two lines for each tick else."""


class Restarts:
    """When a part is started again: after a pause that doubles as long as it does not live long."""

    def __init__(self) -> None:
        self._has_lived = False
        self._ends_in_a_row = 0

    def pause_after(self, lived_seconds: float, exit_code: int) -> float | None:
        """How many seconds to wait once it has ended; `None` if it cannot start at all."""
        if lived_seconds >= LIVED_SECONDS:
            self._has_lived = True
            self._ends_in_a_row = 0
        self._ends_in_a_row += 1
        tries = 1 if exit_code == WRONG_OPTION else TRIES
        if not self._has_lived and self._ends_in_a_row >= tries:
            return None
        return min(LONGEST_PAUSE_SECONDS, 2.0 ** (self._ends_in_a_row - 1))


def _at_once() -> bool:
    return True


@dataclass(frozen=True, kw_only=True)
class Part:
    """One of the programs: what it is called, how it is started, and when the next may begin."""

    name: str
    command: Sequence[str]
    answers: Callable[[], bool] = _at_once


@dataclass
class _Kept:
    """A part, with what has become of it so far."""

    part: Part
    restarts: Restarts = field(default_factory=Restarts)
    session: ProcessSession | None = None
    started_at: float = 0.0
    may_start_at: float = 0.0
    has_answered: bool = False


class Supervisor:
    """Starts the parts in their order, and again whatever of them has ended."""

    def __init__(
        self,
        parts: Sequence[Part],
        environment: Mapping[str, str],
        say: Callable[[str], object],
        output: BinaryIO | None = None,
        log: str = "what it printed above",
    ) -> None:
        self._kept = [_Kept(part) for part in parts]
        self._environment = environment
        self._say = say
        self._output = output
        self._log = log
        self._left: list[ProcessSession] = []
        """Of parts that have ended: runs that a code server has started outlive it."""
        self._code_servers = CodeServers(os.getpid())
        self._mended_at = time.monotonic()

    @property
    def has_begun(self) -> bool:
        """Whether every part has answered once."""
        return all(one.has_answered for one in self._kept)

    def pids(self) -> dict[str, int | None]:
        """The living process of each part, by its name; `None` where it is being started again."""
        return {
            one.part.name: one.session.pid if one.session is not None else None
            for one in self._kept
        }

    def look(self) -> None:
        """Start what may be started, and see what has ended; to be called all the time.

        Raises:
            BatchAssetsError: A part cannot start at all.
        """
        for one in self._kept:
            self._look_at(one)
            one.has_answered = one.has_answered or (one.session is not None and one.part.answers())
            if not one.has_answered:
                break
        self._mend()

    def stop(self, is_urgent: Callable[[], bool]) -> None:
        """End every part and every run that they have started; at once when it becomes urgent.

        Raises:
            BatchAssetsError: Some do not end.
        """
        living = [one.session for one in self._kept if one.session is not None]
        stop([*living, *self._left], is_urgent)

    def _look_at(self, one: _Kept) -> None:
        now = time.monotonic()
        if one.session is None:
            if now >= one.may_start_at:
                self._start(one)
        elif one.session.exit_code is not None:
            self._take_note_of_the_end(one, one.session, now - one.started_at)

    def _start(self, one: _Kept) -> None:
        one.session = ProcessSession(
            one.part.command,
            directory=PROJECT_DIR,
            environment=self._environment,
            output=self._output,
        )
        one.started_at = time.monotonic()

    def _take_note_of_the_end(
        self, one: _Kept, session: ProcessSession, lived_seconds: float
    ) -> None:
        exit_code = session.exit_code or 0
        how = _how(exit_code)
        self._left = [left for left in [*self._left, session] if left.members()]
        one.session = None
        pause = one.restarts.pause_after(lived_seconds, exit_code)
        if pause is None:
            raise BatchAssetsError(
                f"The {one.part.name} cannot start: it has ended {how} as often as it was tried; "
                f"{self._log} says why."
            )
        one.may_start_at = time.monotonic() + pause
        self._say(f"The {one.part.name} has ended {how}: it is started again in {pause:.0f} s.")

    def _mend(self) -> None:
        if time.monotonic() - self._mended_at > _MEND_SECONDS:
            self._mended_at = time.monotonic()
            self._code_servers.mend()


@dataclass(frozen=True, kw_only=True)
class Serving:
    """What is to be run: where the UI listens, and how."""

    host: str
    port: int
    home: Path
    """Dagster's."""
    log: Path
    """Where all parts print."""
    environment: Mapping[str, str]
    reloads_code: bool = False
    """Whether the UI's *Reload* reads the code anew, for those who change it."""
    path_prefix: str = ""
    webserver_options: Sequence[str] = ()

    @property
    def address(self) -> str:
        """Where the UI answers on this machine."""
        everywhere = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "[::1]"}  # noqa: S104
        host = everywhere.get(self.host, self.host)
        named = f"[{host}]" if ":" in host and not host.startswith("[") else host
        return f"http://{named}:{self.port}{self.path_prefix}"


@contextmanager
def supervised(serving: Serving) -> Iterator[Supervisor]:
    """The supervisor of Dagster's parts, which have yet to be started; the caller ends them."""
    environment = {
        **serving.environment,
        "DAGSTER_HOME": str(serving.home),
        "DAGSTER_DISABLE_TELEMETRY": "yes",
        # A daemon one of whose threads hangs ends itself, and is started again.
        "DAGSTER_DAEMON_HEARTBEAT_TOLERANCE": str(SILENT_SECONDS),
        OWNER: owner(),
    }
    # A short name: that of a socket has 107 bytes at most.
    with tempfile.TemporaryDirectory(prefix="batch-assets-serve-") as folder:
        parts = _parts(serving, Path(folder))
        with bounded_log(serving.log) as output:
            yield Supervisor(parts, environment, say, output, str(serving.log))


def _how(exit_code: int) -> str:
    if exit_code < 0:
        return f"by {signal.Signals(-exit_code).name}"
    return f"with exit code {exit_code}"


def say(sentence: str) -> None:
    """Print, also when the terminal is gone."""
    with suppress(OSError):
        console().say(sentence)


def keep(
    supervisor: Supervisor,
    on_open: Callable[[], object],
    each_time: Callable[[], object] = int,
    is_hopeless: Callable[[], bool] = bool,
) -> None:
    """Keep all parts alive until this program is told to stop, and end them then.

    Calls `on_open` once, when all parts have begun, and `each_time` several times a second. While
    it `is_hopeless` for them to end in good order, they are not waited for.

    Raises:
        BatchAssetsError: A part cannot start at all, or does not end; or `each_time` has raised it.
    """
    with StopSignals() as signals:
        is_open = False
        try:
            while not signals.count:
                supervisor.look()
                if supervisor.has_begun and not is_open:
                    is_open = True
                    on_open()
                each_time()
                time.sleep(TICK_SECONDS)
            say("\nStopping …")
        finally:
            asked = signals.count
            supervisor.stop(is_urgent=lambda: signals.count > asked or is_hopeless())


def _parts(serving: Serving, folder: Path) -> list[Part]:
    path = folder / "code"
    workspace = folder / "workspace.yaml"
    workspace.write_text(_WORKSPACE.format(socket=path), encoding="utf-8")
    which = ("code-server", "start") if serving.reloads_code else ("api", "grpc")
    told = ("--workspace", str(workspace))
    return [
        Part(
            name="code server",
            command=(
                *(dagster_program("dagster"), *which, *MODULE),
                *("--socket", str(path), "--log-level", _WARNINGS),
            ),
            answers=lambda: _takes_calls(str(path)),
        ),
        Part(
            name="daemon",
            command=(
                dagster_program("dagster-daemon"),
                "run",
                *told,
                "--log-level",
                _WARNINGS,
            ),
        ),
        Part(
            name="web server",
            command=(
                *(
                    dagster_program("dagster-webserver"),
                    *told,
                    "--dagster-log-level",
                    _WARNINGS,
                ),
                *("--host", serving.host, "--port", str(serving.port)),
                *("--path-prefix", serving.path_prefix),
                *serving.webserver_options,
            ),
            answers=lambda: _listens(serving),
        ),
    ]


def _takes_calls(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe, suppress(OSError):
        probe.connect(path)
        return True
    return False


def _listens(serving: Serving) -> bool:
    host = urlsplit(serving.address).hostname
    with suppress(OSError), socket.create_connection((host, serving.port), timeout=1):
        return True
    return False
