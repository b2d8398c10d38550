"""Ctrl-C while Dagster works: nothing of it is dropped."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

INTERRUPTED: Final = "DagsterExecutionInterruptedError"
"""What Dagster raises in an op when Ctrl-C comes."""


@contextmanager
def no_interrupt_dropped() -> Iterator[None]:
    """Raise `KeyboardInterrupt` at the end if Ctrl-C came meanwhile, whatever became of it.

    Between ops Dagster keeps an interrupt to itself, and forgets it where no op follows; in a
    finalizer Python prints what is raised, and goes on. So it is the signal that counts here:
    Python writes its number down as it comes, whoever handles it. In the main thread only.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    usual = sys.unraisablehook

    def print_others(unraisable: "sys.UnraisableHookArgs") -> None:
        if unraisable.exc_type.__name__ != INTERRUPTED:
            usual(unraisable)

    sys.unraisablehook = print_others
    try:
        yield
    finally:
        sys.unraisablehook = usual
        signal.set_wakeup_fd(before)
        os.close(writing)
        with os.fdopen(reading, "rb") as signals:
            came = signals.read()
    if signal.SIGINT in came:
        raise KeyboardInterrupt
