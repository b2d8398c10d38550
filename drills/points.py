"""Named points between two effects of a run: each is told to whoever watches, and may be struck."""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Strike:
    """What happens to a run at the `nth` time that the point `name` is reached."""

    name: str
    nth: int
    action: str
    """`kill`, `stop`, `cut` (the database's connections) or `restart` (the server)."""

    def __str__(self) -> str:
        return f"{self.action} at {self.name} (time {self.nth})"

    @property
    def told(self) -> str:
        """In a word, for `strike_of`."""
        return f"{self.action}@{self.name}@{self.nth}"


def strike_of(told: str) -> Strike:
    """The strike that is told so. ValueError if none is."""
    action, name, nth = told.split("@")
    return Strike(name, int(nth), action)


class Points:
    """The points of one run. Threads share it.

    Each name is written to a pipe, one line each, before anything is done about it: what was
    reached is known however the run ends.
    """

    def __init__(self, pipe: int, strike: Strike | None, act: Callable[[str], None]) -> None:
        self.stage = "start"
        self._pipe = pipe
        self._strike = strike
        self._left = strike.nth if strike is not None else 0
        self._act = act
        self._lock = threading.Lock()

    def reach(self, effect: str) -> None:
        """The run has come to a point of the stage that it is in."""
        name = f"{self.stage}:{effect}"
        os.write(self._pipe, f"{name}\n".encode())
        strike = self._strike
        if strike is None or name != strike.name:
            return
        with self._lock:
            self._left -= 1
            struck = self._left == 0
        if struck:
            os.write(self._pipe, b"!\n")
            self._act(strike.action)
