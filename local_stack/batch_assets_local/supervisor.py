"""The supervisor: one detached process per stack, owning its PostgreSQL and its Batch API server.

`python -m batch_assets_local.supervisor`, started by `stack.attach`. It brings back a server that
dies, and when the last user of the stack is gone, or on SIGTERM or SIGINT, it stops both and
ends. If it is itself killed, the next supervisor takes over the servers that it left.
"""

import argparse
import logging
import os
import signal
import threading
import time
from collections import deque
from pathlib import Path
from typing import Protocol, TextIO

from batch_assets.domain.errors import LocalStackError
from batch_assets_local import state_file, users
from batch_assets_local.locks import is_in_place, locked, try_lock
from batch_assets_local.options import StackOptions
from batch_assets_local.postgres import EmbeddedPostgres
from batch_assets_local.server_process import BatchServerProcess

TICK_SECONDS = 0.2
TAKE_OVER_SECONDS = 60.0
RESTARTS = 5
RESTARTS_WITHIN_SECONDS = 60.0
READY = "ready"

_log = logging.getLogger("batch_assets_local.supervisor")


class Service(Protocol):
    """A part of the stack: launched or taken over, then waited for, watched and stopped."""

    @property
    def name(self) -> str:
        """What people call it."""

    def launch(self) -> None:
        """Take over the one that an earlier supervisor left, or start one; does not wait."""

    def wait_ready(self) -> None:
        """Return when it answers.

        Raises:
            LocalStackError: it does not come to that.
        """

    def is_alive(self) -> bool:
        """Whether it runs."""

    def stop(self) -> None:
        """Stop it, whoever launched it; nothing happens if it does not run."""


class Supervisor:
    """Keeps one stack, whose `supervisor.json` this process holds locked as `descriptor`."""

    def __init__(self, state_dir: Path, options: StackOptions, descriptor: int) -> None:
        self._state_dir = state_dir
        self._linger_seconds = options.linger_seconds
        self._descriptor = descriptor
        self._postgres = EmbeddedPostgres(state_dir, durable=options.durable)
        self._server = BatchServerProcess(
            state_dir, port=options.port, program=options.server_program
        )
        self._services: tuple[Service, ...] = (self._server, self._postgres)
        self._deaths: deque[float] = deque(maxlen=RESTARTS)
        self._told_to_stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._told_to_stop.set())

    def start(self) -> None:
        """Bring both servers up, side by side, and say so in `supervisor.json`."""
        for service in self._services:
            service.launch()
        for service in self._services:
            service.wait_ready()
        self._publish()

    def watch(self) -> None:
        """Return when the stack is not wanted any more, or cannot be kept up."""
        last_used = time.monotonic()
        while not self._told_to_stop.wait(TICK_SECONDS):
            if not is_in_place(self._descriptor, state_file.supervisor_file(self._state_dir)):
                _log.info("the state directory was removed")
                return
            with locked(self._state_dir):
                if users.any_alive(self._state_dir):
                    last_used = time.monotonic()
                elif time.monotonic() - last_used > self._linger_seconds:
                    # Said under the lock: who registers after this starts the next supervisor.
                    state_file.write_starting(self._descriptor)
                    _log.info("the last user is gone")
                    return
            for service in self._services:
                if not service.is_alive():
                    self._bring_back(service)

    def stop(self) -> None:
        """Stop both servers."""
        state_file.write_starting(self._descriptor)
        for service in self._services:
            service.stop()
        _log.info("stopped")

    def _publish(self) -> None:
        stack = state_file.LocalStack(
            database_url=self._postgres.url(),
            api_base_url=self._server.url(),
            api_key=self._server.key(),
            state_dir=self._state_dir,
            supervisor_pid=os.getpid(),
        )
        with locked(self._state_dir):
            state_file.write_ready(self._descriptor, stack)
        _log.info("ready: %s, %s", stack.database_url, stack.api_base_url)

    def _bring_back(self, service: Service) -> None:
        now = time.monotonic()
        if len(self._deaths) == RESTARTS and now - self._deaths[0] < RESTARTS_WITHIN_SECONDS:
            raise LocalStackError(f"{service.name} dies again and again; see its log.")
        self._deaths.append(now)
        _log.warning("%s has died and is started again", service.name)
        try:
            service.launch()
            service.wait_ready()
        except LocalStackError as error:
            _log.warning("%s", error)  # the next tick finds it dead and counts it again
        else:
            self._publish()


def keep(state_dir: Path, options: StackOptions, report: TextIO) -> None:
    """Keep the stack until nobody wants it.

    `report` hears "ready", or the sentence that says why it does not come to that, and is closed.
    """
    try:
        # Held until this process has ended: only then may the next one begin.
        supervisor = Supervisor(state_dir, options, _become_the_supervisor(state_dir))
        try:
            supervisor.start()
            _tell(report, READY)
            supervisor.watch()
        finally:
            supervisor.stop()
    except LocalStackError as error:
        _log.error("%s", error)
        _tell(report, str(error))


def _become_the_supervisor(state_dir: Path) -> int:
    """The locked `supervisor.json`; waits for a supervisor that is stopping."""
    give_up = time.monotonic() + TAKE_OVER_SECONDS
    while time.monotonic() < give_up:
        descriptor = try_lock(state_file.supervisor_file(state_dir))
        if descriptor is not None:
            state_file.write_starting(descriptor)
            return descriptor
        time.sleep(0.02)
    raise LocalStackError(
        f"the supervisor before, process {state_file.supervisor_pid(state_dir)}, does not end; "
        "end it by hand."
    )


def _tell(report: TextIO, sentence: str) -> None:
    if not report.closed:
        report.write(sentence)
        report.close()


def main() -> None:
    """Detach from whoever started this program, and keep the stack."""
    parser = argparse.ArgumentParser(description="Keeps one local stack; see stack.attach.")
    parser.add_argument("--state-dir", type=Path, required=True)
    parser.add_argument("--options", type=StackOptions.from_json, required=True)
    parser.add_argument("--report-to", type=int, required=True, help="a file descriptor")
    given = parser.parse_args()
    # The parent ends at once, so that the supervisor is nobody's child to wait for.
    if os.fork():
        os._exit(0)
    os.set_inheritable(given.report_to, False)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    with os.fdopen(given.report_to, "w") as report:
        keep(given.state_dir, given.options, report)


if __name__ == "__main__":
    main()
