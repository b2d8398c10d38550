"""How many calls may be in flight: as many as the server is seen to take.

An adaptive concurrency limit by additive increase and multiplicative decrease, as TCP's congestion
control has it (RFC 5681), with a memory of where it was refused, as CUBIC has (RFC 9438): it grows
with each call that is taken until the server answers 429, falls to half then, comes back to just
below where that was, and tries one more after many calls only. The server's headers are obeyed.

No more are in flight than are of use: this process makes calls one after the other, and one that is
answered before the next can be made is all that there is to wait for (Little's law).
"""

import re
import resource
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Final

MOST_IN_FLIGHT: Final = 100
"""Calls at one time, whatever the server takes: each is a thread and a connection."""

_FIRST: Final = 8
_TAKEN_PER_TRY: Final = 32
"""So many times the limit have to be taken at the limit, before one more is tried."""
_SECONDS_A_CALL: Final = 0.001
"""What a call takes of the processor, about, here and in what is between it and the server."""
_FEWEST_OF_USE: Final = 2
_LOOKED_BACK: Final = 8
"""The quickest of so many calls says how long the server takes."""
_LONGEST_HOLD_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 0.25

_DESCRIPTORS_KEPT: Final = 40
"""Open files that a process needs for other things than calls."""
_DESCRIPTORS_A_CALL: Final = 3
"""Its file, its connection, and one that is kept by the pool for calls of the other kind."""

_REMAINING: Final = "x-ratelimit-remaining-requests"
_RESET: Final = "x-ratelimit-reset-requests"
_SPAN: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0}


def most_in_flight() -> int:
    """Calls that this process could make at one time, by the files that it may open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return MOST_IN_FLIGHT
    return max(1, min(MOST_IN_FLIGHT, (soft - _DESCRIPTORS_KEPT) // _DESCRIPTORS_A_CALL))


class ConcurrencyLimit:
    """The limit of one account on one server; threads may share it."""

    def __init__(self, most: int) -> None:
        """`most` are in flight at one time whatever the server takes."""
        self.most = most
        self._limit = min(_FIRST, most)
        self._ceiling: int | None = None
        """The most that the server was not seen to refuse, once it has refused some."""
        self._taken = 0
        """Calls that were taken since the limit came to the ceiling."""
        self._in_flight = 0
        self._seconds: deque[float] = deque(maxlen=_LOOKED_BACK)
        """How long the last calls took."""
        self._of_use = most
        self._cut_at = -1.0
        self._held_until = 0.0
        self._changed = threading.Condition()

    @property
    def limit(self) -> int:
        """Calls that may be in flight now."""
        with self._changed:
            return min(self._limit, self._of_use)

    @contextmanager
    def slot(self, is_over: Callable[[], bool] = lambda: False) -> Generator[None, None, None]:
        """Wait until a call may be made, and make it in the context: any number, one at a time.

        Where `is_over` the wait ends at once, since no call will be made.
        """
        with self._changed:
            while not (self._is_free or is_over()):
                self._changed.wait(_LOOK_SECONDS)
            self._in_flight += 1
        try:
            yield
        finally:
            with self._changed:
                self._in_flight -= 1
                self._changed.notify()

    @property
    def _is_free(self) -> bool:
        room = min(self._limit, self._of_use)
        return self._in_flight < room and time.monotonic() >= self._held_until

    def note_taken(self, headers: Mapping[str, str], seconds: float) -> None:
        """The server has answered a call within so many; `headers` are looked up in lower case."""
        with self._changed:
            self._seconds.append(seconds)
            if len(self._seconds) == _LOOKED_BACK:
                before = self._of_use
                self._of_use = max(_FEWEST_OF_USE, int(min(self._seconds) / _SECONDS_A_CALL))
                if self._of_use > before:
                    self._changed.notify_all()
            if headers.get(_REMAINING) == "0":
                seconds = min(_span(headers.get(_RESET, "")), _LONGEST_HOLD_SECONDS)
                self._held_until = max(self._held_until, time.monotonic() + seconds)
                return
            if self._in_flight < self._limit:
                return  # It says nothing of more of them.
            if self._ceiling is not None and self._limit >= self._ceiling:
                self._taken += 1
                if self._taken < _TAKEN_PER_TRY * self._limit:
                    return
                self._ceiling += 1
                self._taken = 0
            self._limit = min(self._limit + 1, self.most)
            self._changed.notify()

    def note_refused(self, sent_at: float) -> None:
        """The server has had no room for a call that was sent then, on the monotonic clock."""
        with self._changed:
            if sent_at <= self._cut_at:
                return  # It was sent before the limit fell.
            if self._in_flight > 1:
                self._ceiling = max(1, min(self._in_flight, self._limit) - 1)
            self._limit = max(1, min(self._in_flight, self._limit) // 2)
            self._taken = 0
            self._cut_at = time.monotonic()

    @property
    def is_shared(self) -> bool:
        """Whether other calls are in flight beside one: only then its refusal may be theirs."""
        with self._changed:
            return self._in_flight > 1


def _span(text: str) -> float:
    """The seconds of a span such as `1s`, `6m0s` or `20ms`; 0 of anything else."""
    if _SPAN.sub("", text):
        return 0.0
    return sum(float(number) * _SECONDS[unit] for number, unit in _SPAN.findall(text))
