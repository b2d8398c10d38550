"""How long batches will take, by how long like ones took: a pure function of a history.

The history is a sample of batches by when they were submitted, whatever became of them. Those that
are still in flight, that expired or were cancelled, have taken longer than what is known of them:
they are *censored*, and what is estimated is Kaplan and Meier's curve, so that a morning on which
nothing has come back yet does not look quick. Where too few like batches have ended, the likeness
is widened step by step, and each forecast says which one it used and how many had ended.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from typing import Final

LEAST_ENDED: Final = 20
"""So many batches must have ended for a quantile of nine in ten to mean anything."""
LEAST_RUNNING_ON: Final = 5
"""So many must have run longer than a batch has by now, for its further time to be told."""
PARTS: Final = 20
"""In so many equal parts the time that is left is told."""
_HOUR_SECONDS: Final = 3_600.0
_DAY_SECONDS: Final = 86_400.0
_ROUNDING: Final = 1e-9


class Basis(StrEnum):
    """What the batches have in common by which another one is foreseen, the closest first."""

    SIZE_AND_HOUR = "model, size and hour"
    SIZE = "model and size"
    MODEL = "model"
    ALL = "all models"
    WINDOW = "completion window"


@dataclass(frozen=True, slots=True)
class PastBatch:
    """A batch that was submitted, and what is known of how long it took."""

    model: str
    requests: int
    age_seconds: float
    """Since it was submitted."""
    seconds: float
    """From then to its end; of one that is censored, for how long at least it ran."""
    has_ended: bool
    """Whether it was done: all others are censored."""

    @property
    def is_possible(self) -> bool:
        """Whether it ended between then and now: a clock may have been put back."""
        return 0.0 <= self.seconds <= self.age_seconds


@dataclass(frozen=True, slots=True)
class Turnaround:
    """When a batch will be done, from now on."""

    seconds: tuple[float, ...]
    """By when each further one of `PARTS` equal parts of such batches is done; ascending."""
    basis: Basis
    batches: int
    """How many that had ended it was told from; 0 for the completion window."""

    @property
    def p50_seconds(self) -> float:
        """Half of such batches are done by then."""
        return self.seconds[PARTS // 2 - 1]

    @property
    def p90_seconds(self) -> float:
        """Nine of ten are."""
        return self.seconds[PARTS * 9 // 10 - 1]

    def after(self, seconds: float) -> "Turnaround":
        """The same if it is only submitted in so many seconds."""
        return replace(self, seconds=tuple(one + seconds for one in self.seconds))


AT_ONCE: Final = Turnaround((0.0,) * PARTS, Basis.SIZE_AND_HOUR, 0)
"""What has ended, and has only to be read."""


@dataclass(frozen=True, slots=True)
class Curve:
    """Which part of some batches is still running after a time, as far as it is known."""

    seconds: tuple[float, ...]
    """When batches ended, ascending, each time once."""
    running: tuple[float, ...]
    """The part that runs on after each of these."""
    longest: tuple[float, ...]
    """How long each batch ran at least, ascending."""
    ended: int

    def has_seen(self, age_seconds: float) -> bool:
        """Whether enough is known of batches that ran so long."""
        running_on = len(self.longest) - bisect_right(self.longest, age_seconds)
        return self.ended >= LEAST_ENDED and running_on >= LEAST_RUNNING_ON

    def quantile(self, part: float, age_seconds: float = 0.0) -> float | None:
        """By when this part of those is done that run so long; in seconds from their submission.

        `None`: nobody has seen so many of them end.
        """
        at = bisect_right(self.seconds, age_seconds)
        left = self.running[at - 1] if at else 1.0
        if left <= 0.0:
            return None
        return next(
            (
                seconds
                for seconds, running in zip(self.seconds[at:], self.running[at:], strict=True)
                if running <= left * (1 - part) + _ROUNDING
            ),
            None,
        )


def curve_of(batches: Iterable[PastBatch]) -> Curve:
    """Estimate by Kaplan and Meier which part runs on after each time at which one ended."""
    in_order = sorted(batches, key=lambda one: (one.seconds, not one.has_ended))
    seconds: list[float] = []
    running: list[float] = []
    left = 1.0
    for place, batch in enumerate(in_order):
        if not batch.has_ended:
            continue
        left *= 1 - 1 / (len(in_order) - place)
        if seconds and seconds[-1] == batch.seconds:
            running[-1] = left
        else:
            seconds.append(batch.seconds)
            running.append(left)
    return Curve(
        tuple(seconds),
        tuple(running),
        tuple(one.seconds for one in in_order),
        sum(one.has_ended for one in in_order),
    )


class TurnaroundHistory:
    """Batches by which others are foreseen; each likeness is looked through once."""

    def __init__(self, batches: Iterable[PastBatch], window_seconds: float = _DAY_SECONDS) -> None:
        """`window_seconds`: the completion window, which counts where nothing else is known."""
        self._by_model: defaultdict[str, list[PastBatch]] = defaultdict(list)
        for batch in batches:
            if batch.is_possible:
                self._by_model[batch.model].append(batch)
        self._window_seconds = window_seconds
        self._curve = lru_cache(maxsize=None)(self._curve_of)

    def expect(self, model: str | None, requests: int, age_seconds: float = 0.0) -> Turnaround:
        """When a batch of so many requests will be done that was submitted so long ago."""
        for basis in Basis:
            if basis is Basis.WINDOW:
                break
            curve = self._curve(basis, *_asked(basis, model, requests, age_seconds))
            if curve.has_seen(age_seconds) and curve.quantile(0.9, age_seconds) is not None:
                return Turnaround(self._parts(curve, age_seconds), basis, curve.ended)
        return Turnaround((self._window_left(age_seconds),) * PARTS, Basis.WINDOW, 0)

    def _parts(self, curve: Curve, age_seconds: float) -> tuple[float, ...]:
        """What is left in equal parts; of those that nobody has seen end, the completion window."""
        known = (curve.quantile(part / PARTS, age_seconds) for part in range(1, PARTS + 1))
        last = curve.longest[-1] - age_seconds
        unknown = max(self._window_left(age_seconds), last)
        return tuple(unknown if one is None else one - age_seconds for one in known)

    def _window_left(self, age_seconds: float) -> float:
        return max(self._window_seconds - age_seconds, 0.0)

    def _curve_of(self, basis: Basis, model: str | None, requests: int, hour: float) -> Curve:
        return curve_of(self._like(basis, model, requests, hour))

    def _like(
        self, basis: Basis, model: str | None, requests: int, hour: float
    ) -> Iterator[PastBatch]:
        if basis is Basis.ALL:
            for batches in self._by_model.values():
                yield from batches
        elif model is not None:
            for batch in self._by_model.get(model, ()):
                is_of_size = requests <= 2 * batch.requests and batch.requests <= 2 * requests
                is_of_hour = _hours_apart(batch.age_seconds / _HOUR_SECONDS, hour) <= 1.0
                if (
                    basis is Basis.MODEL
                    or (is_of_size and basis is Basis.SIZE)
                    or (is_of_size and is_of_hour)
                ):
                    yield batch


def _asked(
    basis: Basis, model: str | None, requests: int, age_seconds: float
) -> tuple[str | None, int, float]:
    """What a likeness asks of model, size and hour; nothing else tells two of its curves apart."""
    return (
        None if basis is Basis.ALL else model,
        requests if basis in (Basis.SIZE_AND_HOUR, Basis.SIZE) else 0,
        round(age_seconds / _HOUR_SECONDS, 1) if basis is Basis.SIZE_AND_HOUR else 0.0,
    )


def _hours_apart(one: float, other: float) -> float:
    """How far two times of day are apart that lie so many hours back."""
    apart = abs(one - other) % 24.0
    return min(apart, 24.0 - apart)


def all_done(turnarounds: Iterable[tuple[Turnaround, int]], part: float) -> float | None:
    """By when this part of all requests is done, of batches of so many each; in seconds from now.

    `None` without any.
    """
    ends: Sequence[tuple[float, int]] = sorted(
        (seconds, requests) for one, requests in turnarounds for seconds in one.seconds
    )
    wanted = part * sum(requests for _, requests in ends) - _ROUNDING
    done = 0
    for seconds, requests in ends:
        done += requests
        if done >= wanted:
            return seconds
    return None
