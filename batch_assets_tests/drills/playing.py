"""Plays the forms of a drill in processes of their own: a drill forks, and tests have threads."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil

from batch_assets.project_files import PROJECT_DIR
from batch_assets_tests.conftest import configures

SECONDS = 600
"""After which one hangs: on a machine that has nothing else to do it is far quicker."""


def play(form: str, urls: Sequence[str], directory: Path) -> "subprocess.CompletedProcess[str]":
    """To its end; nothing is left of one that does not come to it."""
    with subprocess.Popen(
        _command(form, directory),
        cwd=PROJECT_DIR,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as playing:
        try:
            said, errors = playing.communicate("\n".join(urls), timeout=SECONDS)
        except subprocess.TimeoutExpired:
            for process in psutil.Process(playing.pid).children(recursive=True):
                process.kill()
            playing.kill()
            raise
    return subprocess.CompletedProcess(playing.args, playing.returncode, said, errors)


def begin(form: str, directory: Path, project_dir: Path) -> "subprocess.Popen[str]":
    """One that needs no databases and goes on beside what comes next; nothing is configured.

    It is that of a copy of the project, whose code is found before the installed one.
    """
    plain = {name: text for name, text in os.environ.items() if not configures(name)}
    return subprocess.Popen(
        _command(form, directory),
        cwd=project_dir,
        env={**plain, "PYTHONPATH": str(project_dir)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process: "subprocess.Popen[str]") -> None:
    """As Ctrl-C does, unless it has ended: it tidies up first."""
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=SECONDS)


def _command(form: str, directory: Path) -> list[str]:
    return [sys.executable, "-m", "batch_assets_tests.drills.played", form, str(directory)]
