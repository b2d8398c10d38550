"""A program that is started as one ends as one, also when whoever has started it is killed."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from batch_assets.cli.processes import OWNER, CodeServers, end_left_behind, owner
from batch_assets.project_files import PROJECT_DIR

STARTER = """
import sys, time
from pathlib import Path
from batch_assets.cli.processes import ProcessSession
session = ProcessSession([sys.executable, "-c", {program!r}], directory=Path("."), environment={{}})
print(session.pid, flush=True)
time.sleep(60)
"""
SLEEPS = "import time; time.sleep(60)"
# As Dagster's two halves call themselves: what is started ends with what has started it.
HALVES = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", "api", "grpc"])
time.sleep(60)
"""
WAIT_SECONDS = 60


def wait_for(holds: Callable[[], bool], what: str) -> None:
    give_up = time.monotonic() + WAIT_SECONDS
    while not holds():
        assert time.monotonic() < give_up, what
        time.sleep(0.01)


def backs_of(front: int) -> list[psutil.Process]:
    """Its living second halves. A child is none before it runs its own program."""
    return [
        child
        for child in psutil.Process(front).children()
        if child.status() != psutil.STATUS_ZOMBIE and "grpc" in child.cmdline()
    ]


def ends(process: psutil.Process) -> bool:
    try:
        process.wait(WAIT_SECONDS)
    except psutil.TimeoutExpired:
        return False
    return True


def test_it_ends_with_what_has_started_it() -> None:
    code = STARTER.format(program=SLEEPS)
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as starter:
        assert starter.stdout is not None
        program = psutil.Process(int(starter.stdout.readline()))
        starter.send_signal(signal.SIGKILL)
        assert ends(program)


def test_what_a_killed_one_has_left_is_ended(tmp_path: Path) -> None:
    says_its_name = "from batch_assets.cli.processes import owner; print(owner())"
    dead = subprocess.run(
        [sys.executable, "-c", says_its_name], capture_output=True, text=True, check=True
    ).stdout.strip()
    left, kept, elsewhere = started = [
        subprocess.Popen([sys.executable, "-c", SLEEPS], cwd=where, env={OWNER: named})
        for named, where in ((dead, PROJECT_DIR), (owner(), PROJECT_DIR), (dead, tmp_path))
    ]
    try:
        assert end_left_behind() == 1
        assert not psutil.pid_exists(left.pid)
        assert (kept.poll(), elsewhere.poll()) == (None, None)
    finally:
        for process in started:
            process.kill()
            process.wait()


def test_the_half_of_a_code_server_that_is_left_is_killed() -> None:
    command = [sys.executable, "-c", HALVES, "code-server", "start"]
    with subprocess.Popen(command) as front:
        code_servers = CodeServers(psutil.Process().pid)
        wait_for(lambda: bool(backs_of(front.pid)), "the second half is not started")
        for _ in range(3):
            code_servers.mend()
        assert front.poll() is None, "it is whole"
        for back in backs_of(front.pid):
            back.kill()
        # A signal takes its effect later, and nobody reaps what it ends here.
        wait_for(lambda: not backs_of(front.pid), "the second half is not dead")
        code_servers.mend()
        assert front.poll() is None, "it may be about to start another one"
        code_servers.mend()
        assert front.wait(WAIT_SECONDS) == -signal.SIGKILL
