"""The demo's bar: from 0 % to 100 %, on terminals of any kind and width, and none in a pipe."""

import errno
import fcntl
import json
import os
import struct
import subprocess
import sys
import termios

import pytest
from wcwidth import wcswidth

from batch_assets.project_files import PROJECT_DIR
from batch_assets_tests.cli.terminals import LINES, frames, shown_on_screen

SAID = ["318 are left", "159 are left", "0 are left"]
TERMINALS = [
    (80, {"TERM": "xterm-256color"}),
    (50, {"TERM": "xterm-256color"}),
    (50, {"TERM": "vt100", "COLUMNS": "0"}),
    (80, {"TERM": "screen", "NO_COLOR": "1", "COLUMNS": "abc"}),
    (20, {"TERM": "no-such-terminal", "CI": "true", "COLUMNS": "100000"}),
    (80, {"COLUMNS": "-3"}),
    (80, {"TERM": "dumb"}),
    (50, {"TERM": "unknown"}),
]


@pytest.fixture(scope="module")
def drawn_on_each() -> tuple[list[str], "subprocess.CompletedProcess[str]"]:
    """What each terminal was sent, and what the program has said in its pipe."""
    pairs = [os.openpty() for _ in TERMINALS]
    for (_, terminal), (columns, _environ) in zip(pairs, TERMINALS, strict=True):
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", LINES, columns, 0, 0))
    terminals = [terminal for _, terminal in pairs]
    drawings = [(terminal, at[1]) for terminal, at in zip(terminals, TERMINALS, strict=True)]
    program = subprocess.Popen(
        [sys.executable, "-m", "batch_assets_tests.cli.drawing", json.dumps(drawings)],
        cwd=PROJECT_DIR,
        env={name: value for name, value in os.environ.items() if name != "TERM"},
        pass_fds=terminals,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for terminal in terminals:
        os.close(terminal)
    said = [read_to_the_end(screen) for screen, _ in pairs]
    out, errors = program.communicate(timeout=60)
    return said, subprocess.CompletedProcess(program.args, program.returncode, out, errors)


def read_to_the_end(screen: int) -> str:
    """All that is written on a terminal, until nobody has it open."""
    read = b""
    try:
        while part := os.read(screen, 65_536):
            read += part
    except OSError as error:
        if error.errno != errno.EIO:  # as Linux says that it is closed
            raise
    finally:
        os.close(screen)
    return read.decode()


@pytest.mark.parametrize("number", range(len(TERMINALS)))
def test_on_a_terminal(
    drawn_on_each: tuple[list[str], "subprocess.CompletedProcess[str]"], number: int
) -> None:
    columns, environ = TERMINALS[number]
    said, ended = drawn_on_each[0][number], drawn_on_each[1]
    assert ended.returncode == 0, said + ended.stderr
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


def test_in_a_pipe(
    drawn_on_each: tuple[list[str], "subprocess.CompletedProcess[str]"],
) -> None:
    ended = drawn_on_each[1]
    assert (ended.stdout.splitlines(), ended.stderr, ended.returncode) == (SAID, "", 0)
