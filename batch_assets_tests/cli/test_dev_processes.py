"""A program that is started as one ends as one, also when whoever has started it is killed."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from batch_assets.cli.dev_processes import OWNER, CodeServers, end_left_behind, owner
from batch_assets.project_files import PROJECT_DIR

STARTER = """
import sys, time
from pathlib import Path
from batch_assets.cli.dev_processes import ProcessSession
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


def ends(process: psutil.Process) -> bool:
    try:
        process.wait(20)
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
    says_its_name = "from batch_assets.cli.dev_processes import owner; print(owner())"
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
        for _ in range(3):
            time.sleep(0.3)
            code_servers.mend()
        assert front.poll() is None, "it is whole"
        for back in psutil.Process(front.pid).children():
            back.kill()
        code_servers.mend()
        assert front.poll() is None, "it may be about to start another one"
        code_servers.mend()
        assert front.wait(20) == -signal.SIGKILL
