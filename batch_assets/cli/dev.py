"""`batch-assets dev`: Dagster's UI, daemon and schedule, started and stopped as one."""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import psutil
import typer

from batch_assets.cli.conventions import Port
from batch_assets.cli.dagster_instance import (
    dagster_home,
    open_instance,
    require_port,
    sole_daemon,
)
from batch_assets.cli.lookout import Lookout, say_where
from batch_assets.cli.opening import open_database
from batch_assets.cli.processes import end_left_behind, end_with_parent
from batch_assets.cli.run_lines import RunLines
from batch_assets.cli.supervising import Serving, keep, say, supervised
from batch_assets.domain.errors import LocalStackError
from batch_assets.local_stack import find_local_stack
from batch_assets.project_files import PROJECT_DIR

HOST: Final = "127.0.0.1"
BY_MAKE: Final = "MAKELEVEL"
"""In the environment of what `make` starts: then this program ends when it is killed."""
LOOK_SECONDS: Final = 2.0
"""How often it is looked whether the local stack is there."""
SUPERVISOR_SECONDS: Final = 15.0
"""How long the local stack may take to see that nobody uses it any more, and to end."""


commands = typer.Typer()


@commands.command("dev")
def run_dev(port: Port = 3000) -> None:
    """Open Dagster's UI and start the schedule, until Ctrl-C."""
    from batch_assets.store.lookups import Lookups
    from batch_assets.wiring import local_environment

    # Whatever would keep it from working is found first: the port, the settings, the database.
    if BY_MAKE in os.environ:
        end_with_parent()
    end_left_behind()
    require_port(HOST, port, "give another one, as in `make dev PORT=3001`")
    home = dagster_home()
    is_local = False
    try:
        with (
            open_database() as database,
            open_instance() as instance,
            sole_daemon(database.endpoints) as daemon,
        ):
            is_local = database.endpoints.is_local
            say(f"Starting Dagster on the {database.place} …")
            serving = Serving(
                host=HOST,
                port=port,
                home=home,
                environment=local_environment(name=_stack_name()) if is_local else os.environ,
                reloads_code=True,
                log=home / "dev.log",
            )
            lines = RunLines(instance, Lookups(database.engine), serving.address)
            lookout = Lookout(daemon, lines.new)
            keep_stack = _now_and_then(_keep_stack) if is_local else _leave_alone

            def each_time() -> None:
                lookout.check()
                keep_stack()

            with supervised(serving) as supervisor, lookout.looking():
                keep(
                    supervisor,
                    on_open=lambda: say_where(serving, " — Ctrl-C ends everything."),
                    each_time=each_time,
                    is_hopeless=lambda: bool(lookout.away),
                )
    finally:
        if is_local:
            _leave_stack()
    say("Everything has ended.")


def _leave_alone() -> None:
    """There is no local stack to keep."""


def _now_and_then(look: Callable[[], None]) -> Callable[[], None]:
    """A function that may be called all the time, and looks every LOOK_SECONDS."""
    looked_at = time.monotonic()

    def each_time() -> None:
        nonlocal looked_at
        if time.monotonic() - looked_at > LOOK_SECONDS:
            look()
            looked_at = time.monotonic()

    return each_time


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
