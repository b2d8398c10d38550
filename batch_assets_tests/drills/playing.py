"""Plays the forms of a drill in processes of their own."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from batch_assets.wiring import PROJECT_DIR

SECONDS = 240


def play(form: str, urls: Sequence[str], directory: Path) -> "subprocess.CompletedProcess[str]":
    """In a process of its own: the drill forks, and a test's process has threads."""
    return subprocess.run(
        [sys.executable, "-m", "batch_assets_tests.drills.played", form, str(directory)],
        cwd=PROJECT_DIR,
        input="\n".join(urls),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
