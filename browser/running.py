"""The real UI on a local stack of its own, started and stopped as `batch-assets dev` does it."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx2

from batch_assets.domain.errors import BatchAssetsError
from batch_assets.project_files import PROJECT_DIR
from batch_assets.wiring import connect_local, local_environment
from batch_assets_local import stack
from batch_assets_local.batch_server import ServerConfig
from batch_assets_local.state_file import LocalStack

HOST: Final = "127.0.0.1"
_DEMO: Final = "import sys; from batch_assets_local.cli.demo import run_demo; run_demo(sys.argv[1])"
_DEMO_SECONDS: Final = 300.0
_LOADED: Final = "{ repositoriesOrError { ... on RepositoryConnection { nodes { id } } } }"
_READY_SECONDS: Final = 90.0
_STOP_SECONDS: Final = 60.0


@contextmanager
def empty_stack(name: str) -> Iterator[LocalStack]:
    """A local stack of this name with nothing but the tables in it; it is gone afterwards."""
    stack.reset(PROJECT_DIR, name=name)
    try:
        connect_local(name)
        yield stack.attach(PROJECT_DIR, name=name)
    finally:
        stack.reset(PROJECT_DIR, name=name)


def play_demo(running: LocalStack, log: Path) -> None:
    """The demo on this stack; what it shows goes to `log`."""
    with log.open("ab") as output:
        ended = subprocess.run(
            [sys.executable, "-c", _DEMO, _name(running)],
            cwd=PROJECT_DIR,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            timeout=_DEMO_SECONDS,
        )
    if ended.returncode:
        raise BatchAssetsError(f"The demo failed: see {log}.")


def configure_server(running: LocalStack, config: ServerConfig) -> None:
    """Have the stack's Batch API server behave like this from now on."""
    address = running.api_base_url.removesuffix("/v1") + "/_local/config"
    document = config.model_dump(mode="json", exclude_defaults=True)
    httpx2.put(address, json=document).raise_for_status()


@contextmanager
def dagster_ui(running: LocalStack, log: Path, settings: Mapping[str, str]) -> Iterator[str]:
    """The address of a UI on the stack, with its daemon; what they say goes to `log`.

    Raises `BatchAssetsError` when it does not answer in time, or does not end.
    """
    command = (sys.executable, "-m", "batch_assets.cli", "dev")
    with web_server(command, running, log, settings) as address:
        yield address


@contextmanager
def web_server(
    command: Sequence[str], running: LocalStack, log: Path, settings: Mapping[str, str]
) -> Iterator[str]:
    """The address of a UI on the stack that this command starts, which takes a `--port`."""
    port = free_port()
    with program([*command, "--port", str(port)], running, log, settings) as started:
        _await_ready(started, f"http://{HOST}:{port}", log)
        yield f"http://{HOST}:{port}"


@contextmanager
def program(
    command: Sequence[str], running: LocalStack, log: Path, settings: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """A program of Dagster's on the stack until it is told to stop, as by Ctrl-C."""
    with log.open("wb") as output:
        started = subprocess.Popen(
            command,
            cwd=PROJECT_DIR,
            env={**local_environment(name=_name(running)), **settings},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        yield started
    finally:
        _end(started, log)


def _name(running: LocalStack) -> str:
    return running.state_dir.name


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.create_server((HOST, 0)) as probe:
        return int(probe.getsockname()[1])


def _await_ready(program: subprocess.Popen[bytes], url: str, log: Path) -> None:
    give_up = time.monotonic() + _READY_SECONDS
    while not _has_loaded(url):
        if program.poll() is not None:
            raise BatchAssetsError(f"Dagster's UI has ended as it started: see {log}.")
        if time.monotonic() > give_up:
            raise BatchAssetsError(
                f"Dagster's UI is not ready after {_READY_SECONDS:.0f} s: see {log}."
            )
        time.sleep(0.2)


def _has_loaded(url: str) -> bool:
    """Whether the UI answers and has the definitions."""
    try:
        answer = httpx2.post(f"{url}/graphql", json={"query": _LOADED})
    except httpx2.TransportError:
        return False
    return '"id"' in answer.text


def _end(program: subprocess.Popen[bytes], log: Path) -> None:
    program.send_signal(signal.SIGINT)
    try:
        program.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        program.kill()
        raise BatchAssetsError(
            f"Dagster's UI has not ended after {_STOP_SECONDS:.0f} s: see {log}."
        ) from None
