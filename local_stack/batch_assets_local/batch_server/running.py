"""Starting and stopping the HTTP server: in a thread for tests, or as this process's work."""

import ipaddress
import signal
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uvicorn import Config, Server

from batch_assets.domain.errors import ConfigurationError, LocalStackError
from batch_assets_local.batch_server.app import build_app
from batch_assets_local.batch_server.completions import Answerer
from batch_assets_local.batch_server.config import ServerConfig, write_atomically
from batch_assets_local.batch_server.connection import ReachableProtocol
from batch_assets_local.batch_server.ledger import Ledger
from batch_assets_local.batch_server.service import BatchService

_START_SECONDS = 10
_GRACE_SECONDS = 2


def listen(host: str, port: int) -> socket.socket:
    """A listening socket on a loopback address; port 0 takes a free one.

    Raises:
        LocalStackError: the host is not loopback, or the port is in use.
    """
    _check_loopback(host)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's delay off (40 ms an answer) only where the protocol is named.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(1024)
    except OSError as error:
        listener.close()
        raise LocalStackError(
            f"The local Batch API server cannot listen on port {port} of {host} "
            f"({error.strerror}); stop what listens there, or choose another port with --port."
        ) from error
    return listener


def _check_loopback(host: str) -> None:
    try:
        local = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = False
    if not local:
        raise ConfigurationError(
            f"The local Batch API server listens on loopback only, and {host} is not loopback; "
            "use 127.0.0.1."
        )


def serve(
    state_dir: Path,
    *,
    host: str,
    port: int,
    port_file: Path | None = None,
    answerer: Answerer | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, then return; `port_file` appears once calls are answered."""
    with listen(host, port) as listener, BatchService(state_dir, answerer) as service:
        server = _AnnouncingServer(_uvicorn(service), listener, port_file)
        # uvicorn raises the signal again when it has shut down; that shall not end us badly.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, server.stop)
        server.run(sockets=[listener])


def _uvicorn(service: BatchService) -> Config:
    return Config(
        build_app(service),
        http=ReachableProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        loop="asyncio",
        timeout_graceful_shutdown=_GRACE_SECONDS,
        # Longer than a client keeps an idle connection, so that it never finds one just closed.
        timeout_keep_alive=75,
    )


class _AnnouncingServer(Server):
    """Writes the port to a file once the server answers."""

    def __init__(self, config: Config, listener: socket.socket, port_file: Path | None) -> None:
        super().__init__(config)
        self._port = int(listener.getsockname()[1])
        self._port_file = port_file

    def stop(self, *_: object) -> None:
        """Have the server shut down; a signal handler."""
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._port_file is not None:
            write_atomically(self._port_file, f"{self._port}\n")


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that answers: where it is, what it billed, how it behaves."""

    state_dir: Path
    base_url: str
    service: BatchService

    def ledger(self) -> Ledger:
        """A reader of what was billed."""
        return Ledger(self.state_dir)

    def set_config(self, config: ServerConfig | Mapping[str, Any]) -> None:
        """Put another configuration in force, the whole of it; rules start counting anew."""
        self.service.config.replace(ServerConfig.model_validate(config))


@contextmanager
def running_server(
    state_dir: Path,
    *,
    config: ServerConfig | Mapping[str, Any] | None = None,
    answerer: Answerer | None = None,
) -> Iterator[RunningServer]:
    """A server in a thread of this process, on a free port, stopped on the way out.

    Without a configuration the one in the state directory holds, or the defaults.
    """
    with BatchService(state_dir, answerer) as service, listen("127.0.0.1", 0) as listener:
        if config is not None:
            service.config.replace(ServerConfig.model_validate(config))
        server = Server(_uvicorn(service))
        thread = threading.Thread(
            target=server.run, kwargs={"sockets": [listener]}, name="batch-server"
        )
        thread.start()
        try:
            _await_start(server, thread)
            port = listener.getsockname()[1]
            yield RunningServer(state_dir, f"http://127.0.0.1:{port}/v1", service)
        finally:
            server.should_exit = True
            thread.join()


def _await_start(server: Server, thread: threading.Thread) -> None:
    give_up_at = time.monotonic() + _START_SECONDS
    while not server.started:
        if not thread.is_alive() or time.monotonic() > give_up_at:
            raise LocalStackError("The local Batch API server did not start; see its log.")
        time.sleep(0.005)
