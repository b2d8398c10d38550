"""Terminals of a width, and pipes, on which commands are typed, and what is seen on them."""

import json
import os
import re
import socket
import subprocess
import sys
import termios
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import pexpect
import pyte
from pexpect.fdpexpect import fdspawn

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


class Typist:
    """The program that types, started once for any number of terminals and pipes."""

    def __init__(self) -> None:
        self._connection, other_end = socket.socketpair()
        self._connection.settimeout(PATIENCE_SECONDS)
        with other_end:
            end = other_end.fileno()
            # All three: Python remembers of each whether one can go back in it, as in no terminal.
            self._program = subprocess.Popen(
                PROGRAM, cwd=PROJECT_DIR, env=environment({}), stdin=end, stdout=end, stderr=end
            )
        said = self._connection.recv(10_000).decode()
        assert said == READY, said

    def sit_down(self, environ: Mapping[str, str], *ends: int) -> None:
        """Let it type on a terminal, or from a pipe into another one; both are its own then."""
        told = json.dumps(environment(environ)).encode()
        socket.send_fds(self._connection, [told], ends)
        for end in ends:
            os.close(end)

    def close(self) -> None:
        """End the program."""
        self._connection.close()
        self._program.wait(PATIENCE_SECONDS)


class Typing:
    """Commands that are typed on a terminal."""

    def __init__(self, typist: Typist, columns: int, environ: Mapping[str, str]) -> None:
        self.columns = columns
        screen, terminal = os.openpty()
        termios.tcsetwinsize(terminal, (LINES, columns))
        attributes = termios.tcgetattr(terminal)
        attributes[3] &= ~termios.ECHO
        termios.tcsetattr(terminal, termios.TCSANOW, attributes)
        typist.sit_down(environ, terminal)
        self._program = fdspawn(screen, encoding="utf-8", timeout=PATIENCE_SECONDS)
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
        """Leave the terminal: who sits there reads to the end of what is typed."""
        self._program.send("\x04")
        self._program.expect(pexpect.EOF)
        self._program.close()


class PipedTyping:
    """The same between pipes, where nobody can be asked."""

    columns = None

    def __init__(self, typist: Typist, environ: Mapping[str, str]) -> None:
        read, typed = os.pipe()
        said, written = os.pipe()
        typist.sit_down(environ, read, written)
        self._typed = os.fdopen(typed, "w", encoding="utf-8")
        self._said = os.fdopen(said, encoding="utf-8")
        self._read_to(READY)

    def __call__(self, *arguments: str, answer: str = "", environ: Environ = NOTHING) -> Seen:
        """Type a command."""
        self._typed.write(_command(arguments, environ) + "\n")
        self._typed.flush()
        said = self._read_to(CODE)
        return seen(said, int(self._read_to(READY)), None)

    def _read_to(self, mark: str) -> str:
        read: list[str] = []
        while (character := self._said.read(1)) != mark:
            assert character, "".join(read)
            read.append(character)
        return "".join(read)

    def close(self) -> None:
        """End the input, and wait until nobody writes into the output any more."""
        self._typed.close()
        with self._said as said:
            said.read()


@contextmanager
def typing(
    typist: Typist, columns: int | None, environ: Mapping[str, str]
) -> Iterator[Typing | PipedTyping]:
    """Typing on a terminal of that width, or in pipes."""
    opened = PipedTyping(typist, environ) if columns is None else Typing(typist, columns, environ)
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
