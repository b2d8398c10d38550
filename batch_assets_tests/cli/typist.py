"""Types commands on the terminal, or between the pipes, that this program was started with.

It reads a command a line, as JSON, and types each in a process of its own, forked from this one,
which has imported everything by then: Dagster and the SDK take longer to import than most commands
run.
"""

import gc
import json
import os
import pkgutil
import sys
import traceback
from importlib import import_module

import typer.rich_utils  # noqa: F401 (so that not each help has to import it)

from batch_assets import cli

READY = "\x1e"
"""Printed when the next command may come; between two of them stand what was said and the code."""
CODE = "\x1d"


def main() -> None:
    _import_all()
    # What is there by now stays: a collection in each command would copy all of its pages.
    gc.collect()
    gc.freeze()
    _write(READY)
    while line := sys.stdin.readline():
        command = json.loads(line)
        child = os.fork()
        if child == 0:
            _type(**command)
        _, status = os.waitpid(child, 0)
        _write(f"{CODE}{os.waitstatus_to_exitcode(status)}{READY}")


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
