"""`batch-assets dev`: Dagster's UI, daemon and schedule, started and stopped as one."""

import os
import socket
import sys
import time
from contextlib import suppress

import psutil
import typer

from batch_assets.cli.conventions import Port
from batch_assets.cli.dagster_instance import WORKSPACE, dagster_home, open_instance, require_port
from batch_assets.cli.dev_processes import (
    OWNER,
    TICK_SECONDS,
    CodeServers,
    ProcessSession,
    StopSignals,
    end_left_behind,
    end_with_parent,
    owner,
)
from batch_assets.cli.opening import open_database
from batch_assets.cli.screen import console
from batch_assets.domain.errors import BatchAssetsError, LocalStackError
from batch_assets.local_stack import find_local_stack
from batch_assets.project_files import PROJECT_DIR

HOST = "127.0.0.1"
NO_ADVICE = "ignore:Function `dev_command` is superseded"
"""For PYTHONWARNINGS: that there is `dg dev`, too, helps nobody who typed `make dev`."""
BY_MAKE = "MAKELEVEL"
"""In the environment of what `make` starts: then this program ends when it is killed."""
LOOK_SECONDS = 2.0
"""How often it is looked whether the code server is whole."""
SUPERVISOR_SECONDS = 15.0
"""How long the local stack may take to see that nobody uses it any more, and to end."""


commands = typer.Typer()


@commands.command("dev")
def run_dev(port: Port = 3000) -> None:
    """Open Dagster's UI and start the schedule, until Ctrl-C."""
    from batch_assets.wiring import local_environment

    # Whatever would keep it from working is found first: the port, the settings, the database.
    if BY_MAKE in os.environ:
        end_with_parent()
    end_left_behind()
    require_port(HOST, port, "give another one, as in `make dev PORT=3001`")
    home = dagster_home()
    with open_database() as database, open_instance():
        is_local = database.endpoints.is_local
        console().say(f"Starting Dagster on the {database.place} …")
    environment = local_environment(name=_stack_name()) if is_local else dict(os.environ)
    with StopSignals() as signals:
        dagster = ProcessSession(
            [
                *(sys.executable, "-m", "dagster", "dev"),
                *("--workspace", str(WORKSPACE)),
                *("--host", HOST, "--port", str(port)),
            ],
            directory=PROJECT_DIR,
            environment={
                **environment,
                "DAGSTER_HOME": str(home),
                "PYTHONWARNINGS": NO_ADVICE,
                OWNER: owner(),
            },
        )
        try:
            _watch(dagster, signals, port, is_local=is_local)
            ended_by_itself = dagster.has_ended
        finally:
            asked = signals.count
            dagster.stop(is_urgent=lambda: signals.count > asked)
            if is_local:
                _leave_stack()
    if ended_by_itself:
        raise BatchAssetsError("Dagster has ended by itself: see its messages above.")
    _say("Everything has ended.")


def _watch(dagster: ProcessSession, signals: StopSignals, port: int, *, is_local: bool) -> None:
    """Return when told to stop, or when Dagster has ended; say once when the UI answers."""
    is_open = False
    code_servers = CodeServers(dagster.pid)
    looked_at = time.monotonic()
    while not (signals.count or dagster.has_ended):
        if not is_open and _answers(port):
            is_open = True
            _say(f"\nThe UI is at http://{HOST}:{port} — Ctrl-C ends everything.\n")
        if time.monotonic() - looked_at > LOOK_SECONDS:
            looked_at = time.monotonic()
            code_servers.mend()
            if is_local:
                _keep_stack()
        time.sleep(TICK_SECONDS)
    _say("\nStopping …")


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection((HOST, port), timeout=1):
        return True
    return False


def _keep_stack() -> None:
    """Start the local stack again if its supervisor was killed: what that left is taken over."""
    with suppress(LocalStackError):
        find_local_stack().attach(PROJECT_DIR, name=_stack_name())


def _leave_stack() -> None:
    """Let go of the local stack, and wait for its end unless someone else uses it."""
    stack, name = find_local_stack(), _stack_name()
    attached = stack.attach(PROJECT_DIR, name=name)
    stack.detach(PROJECT_DIR, name=name)
    if stack.is_used(PROJECT_DIR, name=name):
        return
    with suppress(psutil.NoSuchProcess, psutil.TimeoutExpired):
        psutil.Process(attached.supervisor_pid).wait(SUPERVISOR_SECONDS)


def _stack_name() -> str:
    from batch_assets.settings import load_settings
    from batch_assets.wiring import DEFAULT_STACK

    return load_settings().local_stack or DEFAULT_STACK


def _say(sentence: str) -> None:
    """Print, also when the terminal is gone."""
    with suppress(OSError):
        console().say(sentence)
