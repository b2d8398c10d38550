"""Whether a process lives, asked of the kernel about real ones."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace

import psutil
import pytest

from batch_assets.domain.hosts import ProcessName
from batch_assets.resources.this_process import lives, this_process

HERE = this_process()


@pytest.fixture
def child() -> Iterator[tuple[subprocess.Popen[bytes], ProcessName]]:
    """A process, and how it would call itself."""
    code = "from batch_assets.resources.this_process import this_process as t; import json, time\n"
    code += "print(t().started_ticks, flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout is not None
    ticks = int(process.stdout.readline())
    yield process, replace(HERE, pid=process.pid, started_ticks=ticks)
    process.kill()
    process.wait()
    process.stdout.close()


def test_it_is_seen_as_long_as_it_lives(
    child: tuple[subprocess.Popen[bytes], ProcessName],
) -> None:
    process, name = child
    assert lives(name) is True
    # Another one had this id before it.
    assert lives(replace(name, started_ticks=name.started_ticks - 1)) is False
    # There is a process with this id here, but it is not the one.
    assert lives(replace(name, host="another host")) is None

    process.send_signal(signal.SIGSTOP)
    while psutil.Process(process.pid).status() != psutil.STATUS_STOPPED:
        time.sleep(0.01)
    assert lives(name) is None, "it may go on or not"

    process.kill()
    while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    assert lives(name) is False
    process.wait()
    assert lives(name) is False


def test_this_process_lives() -> None:
    assert HERE.pid == os.getpid()
    assert lives(HERE) is True
