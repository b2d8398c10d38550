"""The demo's bar: from 0 % to 100 %, on terminals of any kind and width, and none in a pipe."""

import os
import subprocess
import sys

import pexpect
import pytest
from wcwidth import wcswidth

from batch_assets.project_files import PROJECT_DIR
from batch_assets_tests.cli.terminals import frames, shown_on_screen

PROGRAM = """
import time
from batch_assets_local.cli.demo import progress
from batch_assets.cli.screen import console
shown = console()
with progress(shown, 318) as show:
    for left in (318, 159, 0):
        show(left, f"{left} waiting, 0 in a batch")
        time.sleep(0.25)
        shown.say(f"{left} are left")
"""
COMMAND = [sys.executable, "-c", PROGRAM]
SAID = ["318 are left", "159 are left", "0 are left"]


@pytest.mark.parametrize(
    ("columns", "environ"),
    [
        (80, {"TERM": "xterm-256color"}),
        (50, {"TERM": "xterm-256color"}),
        (50, {"TERM": "vt100", "COLUMNS": "0"}),
        (80, {"TERM": "screen", "NO_COLOR": "1", "COLUMNS": "abc"}),
        (20, {"TERM": "no-such-terminal", "CI": "true", "COLUMNS": "100000"}),
        (80, {"COLUMNS": "-3"}),
        (80, {"TERM": "dumb"}),
        (50, {"TERM": "unknown"}),
    ],
)
def test_on_a_terminal(columns: int, environ: dict[str, str]) -> None:
    given = {name: value for name, value in os.environ.items() if name != "TERM"}
    spawned = pexpect.spawn(
        COMMAND[0],
        COMMAND[1:],
        cwd=str(PROJECT_DIR),
        env={**given, **environ},
        dimensions=(24, columns),
        encoding="utf-8",
        timeout=60,
    )
    spawned.expect(pexpect.EOF)
    said = str(spawned.before)
    spawned.close()
    assert spawned.exitstatus == 0, said
    shown = shown_on_screen(said.replace("\r\n", "\n"), columns)
    assert [line for line in shown if line] == SAID
    drawn = frames(said)
    if environ.get("TERM") in {"dumb", "unknown"}:
        assert drawn == []
        return
    assert "  0 % 0/318" in drawn[0]
    assert any(" 50 % 159/318" in line for line in drawn)
    assert "100 % 318/318" in drawn[-1]
    assert "…" not in said
    assert max(map(wcswidth, drawn)) <= columns
    assert any("159 waiting, 0 in a batch" in line for line in drawn) == (columns == 80)


def test_in_a_pipe() -> None:
    ended = subprocess.run(
        COMMAND, cwd=PROJECT_DIR, capture_output=True, text=True, check=True, env={**os.environ}
    )
    assert (ended.stdout.splitlines(), ended.stderr) == (SAID, "")
