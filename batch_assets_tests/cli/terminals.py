"""Terminals of a width, and pipes, on which commands are typed, and what is seen on them."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import pexpect
import pyte

from batch_assets.project_files import PROJECT_DIR
from batch_assets_tests.cli.typist import CODE, READY

Environ = Mapping[str, str | None]
"""Changes of an environment; `None` takes a variable away."""
NOTHING: Environ = {}
LINES = 24
PATIENCE_SECONDS = 120
PROGRAM = [sys.executable, "-m", "batch_assets_tests.cli.typist"]
_STYLE = re.compile(r"\x1b\[[0-9;]*m")
"""Bold and colours: nothing else that steers a terminal may be in what a command prints."""


@dataclass(frozen=True)
class Seen:
    """What a command has printed, and its exit code."""

    code: int
    text: str
    """As it came, without bold and colours."""
    columns: int | None

    @property
    def lines(self) -> list[str]:
        return [line.rstrip() for line in self.text.split("\n")]

    @property
    def screen(self) -> list[str]:
        """What a terminal of that width makes of it, as a person reads it."""
        return shown_on_screen(self.text, self.columns or 10_000)


class Typing:
    """A program on a terminal that types commands."""

    def __init__(self, columns: int, environ: Mapping[str, str]) -> None:
        self.columns = columns
        self._program = pexpect.spawn(
            PROGRAM[0],
            PROGRAM[1:],
            dimensions=(LINES, columns),
            cwd=str(PROJECT_DIR),
            env=environment(environ),
            encoding="utf-8",
            echo=False,
            timeout=PATIENCE_SECONDS,
        )
        self._program.expect_exact(READY)

    def __call__(self, *arguments: str, answer: str = "", environ: Environ = NOTHING) -> Seen:
        """Type a command; `answer` is typed when it asks."""
        self._program.sendline(_command(arguments, environ))
        asked = ""
        if answer:
            # Without an echo the end of the line that is typed is not seen.
            asked = f"{self._read_to('[y/N]:')}[y/N]: {answer}\n"
            self._program.sendline(answer)
        said = asked + self._read_to(CODE)
        return seen(said, int(self._read_to(READY)), self.columns)

    def _read_to(self, mark: str) -> str:
        self._program.expect_exact(mark)
        return str(self._program.before)

    def close(self) -> None:
        """End the program, which reads to the end of its input."""
        self._program.sendeof()
        self._program.expect(pexpect.EOF)
        self._program.close()


class PipedTyping:
    """The same program between pipes, where nobody can be asked."""

    columns = None

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._program = subprocess.Popen(
            PROGRAM,
            cwd=PROJECT_DIR,
            env=environment(environ),
            encoding="utf-8",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self._read_to(READY)

    def __call__(self, *arguments: str, answer: str = "", environ: Environ = NOTHING) -> Seen:
        """Type a command."""
        assert self._program.stdin is not None
        self._program.stdin.write(_command(arguments, environ) + "\n")
        self._program.stdin.flush()
        said = self._read_to(CODE)
        return seen(said, int(self._read_to(READY)), None)

    def _read_to(self, mark: str) -> str:
        assert self._program.stdout is not None
        read: list[str] = []
        while (character := self._program.stdout.read(1)) != mark:
            assert character, "".join(read)
            read.append(character)
        return "".join(read)

    def close(self) -> None:
        """End the program, which reads to the end of its input."""
        self._program.communicate(timeout=PATIENCE_SECONDS)


@contextmanager
def typing(columns: int | None, environ: Mapping[str, str]) -> Iterator[Typing | PipedTyping]:
    """Typing on a terminal of that width, or in pipes."""
    opened = PipedTyping(environ) if columns is None else Typing(columns, environ)
    yield opened
    opened.close()


def _command(arguments: Sequence[str], environ: Environ) -> str:
    return json.dumps({"arguments": arguments, "environ": dict(environ)})


def environment(changes: Mapping[str, str]) -> dict[str, str]:
    """An environment of a usual terminal, with these variables."""
    return {**os.environ, "TERM": "xterm-256color", **changes}


def seen(said: str, code: int, columns: int | None) -> Seen:
    """What was said, without what a terminal makes of the ends of lines, bold and colours."""
    return Seen(code, _STYLE.sub("", said.replace("\r\n", "\n")), columns)


def shown_on_screen(text: str, columns: int) -> list[str]:
    """The lines of a terminal that is high enough for the text."""
    height = text.count("\n") + len(text) // columns + 2
    screen = pyte.Screen(columns, height)
    pyte.Stream(screen).feed(text.replace("\n", "\r\n"))
    return [line.rstrip() for line in screen.display]


def frames(said: str) -> list[str]:
    """The lines with a percentage that a progress bar has drawn, one over the other."""
    drawn = re.split(r"\r|\n", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", said))
    return [line for line in drawn if " % " in line]
