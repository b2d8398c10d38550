"""Work in a process of its own, so that its memory and its time are that work's alone."""

import multiprocessing
import os
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerContext
from typing import ParamSpec, TypeVar

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")


def context() -> ForkServerContext:
    """Processes that are forks of one that has nothing but the stages' imports in memory.

    What they have resident is what a fresh interpreter has after these imports, two seconds later.
    """
    made = multiprocessing.get_context("forkserver")
    made.set_forkserver_preload(["benchmarks.comparison.worker"])
    return made


def in_own_process(
    work: Callable[_Parameters, _Result],
    *arguments: _Parameters.args,
    **named: _Parameters.kwargs,
) -> _Result:
    """What `work` returns or raises; the process ends after it."""
    with ProcessPoolExecutor(
        max_workers=1, mp_context=context(), initializer=end_with_parent
    ) as process:
        return process.submit(work, *arguments, **named).result()


def end_with_parent() -> None:
    """Have this process end at once when the one that started it was killed."""
    threading.Thread(target=_wait_for_the_end, name="end-with-parent", daemon=True).start()


def _wait_for_the_end() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
