"""Sits down at terminals and between pipes, and types commands there.

Its standard streams are one end of a connection, on which it is sent the terminals, or both the
input and the output of one who sits between pipes, each time with an environment. Who sits down
there is a process forked from this one, which has imported everything by then: Dagster and the SDK
take longer to import than most commands run. It reads a command a line, as JSON, and types each in
a process of its own, forked in its turn.
"""

import gc
import json
import os
import pkgutil
import signal
import socket
import sys
import traceback
from collections.abc import Mapping, Sequence
from importlib import import_module

import typer.rich_utils  # noqa: F401 (so that not each help has to import it)

from batch_assets import cli

READY = "\x1e"
"""Printed when the next command may come; between two of them stand what was said and the code."""
CODE = "\x1d"
_MOST_BYTES = 1_000_000
"""Of an environment."""


def main() -> None:
    """Sit down wherever the connection leads, until it ends."""
    _import_all()
    # What is there by now stays: a collection in each command would copy all of its pages.
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody here waits for who sits elsewhere
    connection = socket.socket(fileno=os.dup(sys.stdin.fileno()))
    connection.sendall(READY.encode())
    while True:
        environ, ends, _, _ = socket.recv_fds(connection, _MOST_BYTES, 2)
        if not environ:
            return
        if os.fork() == 0:
            connection.close()
            _sit_down(ends, json.loads(environ))
            _type_all()
            return
        for end in ends:
            os.close(end)


def _import_all() -> None:
    for module in pkgutil.iter_modules(cli.__path__):
        if module.name != "__main__":
            import_module(f"batch_assets.cli.{module.name}")
    # What commands import once they run: Dagster with all a run needs, the SDK, the prices.
    for name in (
        "batch_assets.definitions",
        "batch_assets.openai_batch.connections",
        "genai_prices",
    ):
        import_module(name)


def _sit_down(ends: Sequence[int], environ: Mapping[str, str]) -> None:
    """Be as a program is that was started on a terminal, or between two pipes."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if len(ends) == 1:
        os.login_tty(ends[0])
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    else:
        read, written = ends
        for end, number in ((read, 0), (written, 1), (written, 2)):
            os.dup2(end, number)
        for end in ends:
            os.close(end)
    os.environ.clear()
    os.environ.update(environ)


def _type_all() -> None:
    """Type what is read, to the end of it."""
    _write(READY)
    while line := sys.stdin.readline():
        command = json.loads(line)
        child = os.fork()
        if child == 0:
            _type(**command)
        _, status = os.waitpid(child, 0)
        _write(f"{CODE}{os.waitstatus_to_exitcode(status)}{READY}")


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _type(arguments: list[str], environ: dict[str, str | None]) -> None:
    """Be the command, to its end."""
    for name, value in environ.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value
    if not sys.stdin.isatty():  # but a pipe, which holds the next commands
        os.dup2(os.open(os.devnull, os.O_RDONLY), sys.stdin.fileno())
    sys.argv = ["batch-assets", *arguments]
    code = 1
    try:
        cli.main()
    except SystemExit as ended:
        code = int(ended.code or 0)
    except BaseException:  # what Python itself would print
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
