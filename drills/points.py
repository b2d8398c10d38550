"""Named points between two effects of a run: each is told to whoever watches, and may be struck."""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Strike:
    """What happens to a run at the `nth` time that the point `name` is reached.

    Times are counted from the strike before.
    """

    name: str
    nth: int
    action: str
    """`kill`, `stop`, `cut` (the database's connections) or `restart` (the server)."""

    @property
    def is_last(self) -> bool:
        """Whether the run ends with it, or does nothing until others have gone on."""
        return self.action in {"kill", "stop"}

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
    """The points of one run, and what strikes there, one after the other. Threads share it.

    Each name is written to a pipe, one line each, before anything is done about it: what was
    reached is known however the run ends.
    """

    def __init__(self, pipe: int, strikes: Iterable[Strike], act: Callable[[str], None]) -> None:
        self.stage = "start"
        self._pipe = pipe
        self._strikes = deque(strikes)
        self._times = 0
        self._act = act
        self._lock = threading.Lock()

    def reach(self, effect: str) -> None:
        """The run has come to a point of the stage that it is in."""
        name = f"{self.stage}:{effect}"
        os.write(self._pipe, f"{name}\n".encode())
        with self._lock:
            if not self._strikes or name != self._strikes[0].name:
                return
            self._times += 1
            if self._times < self._strikes[0].nth:
                return
            strike = self._strikes.popleft()
            self._times = 0
        os.write(self._pipe, b"!\n")
        self._act(strike.action)
