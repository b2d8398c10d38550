"""The local Batch API server as a process: started, found again and stopped."""

import contextlib
import secrets
import signal
import socket
import time
from collections.abc import Sequence
from pathlib import Path

from batch_assets.domain.errors import LocalStackError
from batch_assets_local import processes
from batch_assets_local.options import BATCH_SERVER

HOST = "127.0.0.1"
START_SECONDS = 30.0
STOP_SECONDS = 10.0


class BatchServerProcess:
    """The Batch API server of the stack in `state_dir`, on `port` if one is asked for.

    Otherwise it takes the port that it had before, if that is free, and any other if not.
    `program` is started with `--state-dir DIR --port-file FILE --port PORT`; it writes its port
    to FILE once it listens, and ends on SIGTERM.
    """

    name = "The local Batch API server"

    def __init__(
        self, state_dir: Path, *, port: int | None = None, program: Sequence[str] = BATCH_SERVER
    ) -> None:
        self._own_dir = state_dir / "batch-server"
        # Its own convention: where there is this file, no other key is let in.
        self._key_file = self._own_dir / "key"
        self._port_file = state_dir / "batch-server.port"
        self._log = processes.Log(state_dir / "batch-server.log")
        self._port = port
        self._command = (
            *program,
            *("--state-dir", str(self._own_dir)),
            *("--port-file", str(self._port_file)),
            "--port",
        )
        self._process: processes.Process | None = None

    def url(self) -> str:
        """The base URL for the openai SDK."""
        return f"http://{HOST}:{self._written_port()}/v1"

    def key(self) -> str:
        """The key that it lets in and no other; kept where only this user may read it."""
        return self._key_file.read_text(encoding="ascii")

    def launch(self) -> None:
        """Take over the server that an earlier launcher left, or start one; does not wait."""
        left = self._find_left()
        if (
            [server.command[:-1] for server in left] == [self._command]
            and self._port in {None, self._written_port()}
            and self._answers()
        ):
            self._process = left[0]
            return
        self._end(left)
        port = self._choose_port()
        self._make_own_dir()
        self._port_file.unlink(missing_ok=True)
        self._process = processes.spawn((*self._command, str(port)), log=self._log)

    def wait_ready(self) -> None:
        """Return when the launched server accepts connections.

        Raises:
            LocalStackError: it does not come to that.
        """
        give_up = time.monotonic() + START_SECONDS
        while not self._answers():
            if not self.is_alive():
                raise LocalStackError(f"{self.name} does not start: {self._log.telling_line()}")
            if time.monotonic() > give_up:
                raise LocalStackError(f"{self.name} is not ready after {START_SECONDS:.0f} s.")
            time.sleep(0.01)

    def is_alive(self) -> bool:
        """Whether the server that was launched or taken over still runs."""
        return self._process is not None and self._process.is_alive()

    def stop(self) -> None:
        """Stop this state directory's server, whoever launched it, and no other."""
        self._end(self._find_left())
        self.is_alive()  # reaps our own child
        self._process = None

    def _make_own_dir(self) -> None:
        self._own_dir.mkdir(mode=0o700, exist_ok=True)
        if not self._key_file.exists():
            self._key_file.touch(mode=0o600)
        if not self.key():
            self._key_file.write_text(f"sk-local-{secrets.token_urlsafe(24)}", encoding="ascii")

    def _choose_port(self) -> int:
        if self._port is None:
            before = self._written_port()
            return before if before is not None and _is_free(before) else 0
        if not _is_free(self._port):
            raise LocalStackError(
                f"port {self._port} of {HOST} is in use; end the program that uses it, "
                "or choose another port for the local Batch API server."
            )
        return self._port

    def _written_port(self) -> int | None:
        try:
            return int(self._port_file.read_text(encoding="ascii"))
        except (FileNotFoundError, ValueError):
            return None

    def _answers(self) -> bool:
        port = self._written_port()
        if port is None:
            return False
        with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1):
            return True
        return False

    def _find_left(self) -> list[processes.Process]:
        marks = self._command[-3:]  # with the path of this stack's own file
        return processes.find(lambda command: command[-4:-1] == marks)

    def _end(self, servers: list[processes.Process]) -> None:
        for server in servers:
            server.end((signal.SIGTERM, signal.SIGKILL), patience_seconds=STOP_SECONDS)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As the server does: a port that has just been left counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
