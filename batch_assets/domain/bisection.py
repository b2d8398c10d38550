"""Bisection: the requests of a refused batch in two groups, each sent as a batch of its own.

A part that the server takes clears its rows, and throws suspicion on the other one. As long as it
takes neither, nothing is known, and the parts are drawn anew for the next time: wrong rows that
were in different parts come together by and by, and the others get away from them.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class BisectionGroup:
    """One of the two parts of a batch, by the `draw`-th drawing."""

    of_batch: str
    draw: int
    number: int

    @classmethod
    def read(cls, name: str) -> Self:
        """The group that has this name."""
        of_batch, _, place = name.rpartition(".")
        draw, _, number = place.partition("/")
        return cls(of_batch, int(draw), int(number))

    @property
    def name(self) -> str:
        """How it is kept."""
        return f"{self.of_batch}.{self.draw}/{self.number}"


def halves(of_batch: str, request_ids: Sequence[str]) -> Mapping[str, Sequence[str]]:
    """The first groups of a batch, in the order of its rows: what is in each, by its name."""
    middle = -(-len(request_ids) // 2)
    return _named(of_batch, 1, (request_ids[:middle], request_ids[middle:]))


def drawn_anew(group: BisectionGroup, request_ids: Sequence[str]) -> Mapping[str, Sequence[str]]:
    """The next groups for the rows of one, mixed with those of the other one if that fails as well.

    Where a row goes is said by its id and the drawing alone, so that doing it again comes to the
    same.
    """
    draw = group.draw + 1
    parts: tuple[list[str], list[str]] = ([], [])
    for request_id in request_ids:
        drawn = hashlib.sha256(f"{group.of_batch}.{draw}/{request_id}".encode()).digest()[0] & 1
        parts[drawn].append(request_id)
    return _named(group.of_batch, draw, parts)


def _named(
    of_batch: str, draw: int, parts: tuple[Sequence[str], Sequence[str]]
) -> Mapping[str, Sequence[str]]:
    return {
        BisectionGroup(of_batch, draw, number).name: part
        for number, part in enumerate(parts, start=1)
        if part
    }
