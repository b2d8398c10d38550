"""Sums of money that are kept in two places, and what it means if they differ."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Comparison(StrEnum):
    """Two sides that come to the same."""

    BATCHES_AND_ATTEMPTS = "batches_and_attempts"
    BATCHES_AND_RUNS = "batches_and_runs"
    BATCHES_AND_SERVER = "batches_and_server"
    METRICS_AND_RUNS = "metrics_and_runs"
    DAYS_AND_BATCHES = "days_and_batches"
    LIVEDASH_AND_ATTEMPTS = "livedash_and_attempts"


SIDES: Final[Mapping[Comparison, tuple[str, str]]] = {
    Comparison.BATCHES_AND_ATTEMPTS: ("the batches", "their attempts"),
    Comparison.BATCHES_AND_RUNS: ("the batches", "what runs have read of them"),
    Comparison.BATCHES_AND_SERVER: ("the batches", "the usage that the server has said"),
    Comparison.METRICS_AND_RUNS: ("the run's metrics", "what it has read"),
    Comparison.DAYS_AND_BATCHES: ("the day's kept sums", "its batches"),
    Comparison.LIVEDASH_AND_ATTEMPTS: ("LiveDash's requests", "their attempts"),
}
"""What each of the two is, as in `SIDES[comparison]`."""

ADVICE: Final = (
    "The attempts are what was billed. If nobody changed rows, keep the database as it is and "
    "report it."
)


@dataclass(frozen=True, slots=True)
class CostDifference:
    """A figure that is one thing on one side and another on the other."""

    comparison: Comparison
    day: str | None
    """Of the claim, or on which a run has ended; UTC. `None`: of no one day."""
    company_id: str | None
    model: str | None
    """Empty where LiveDash made the batch."""
    run_id: str | None
    figure: str
    first: float
    second: float
    """In the order of `SIDES`."""
    things: int
    """How many batches or requests differ, or 1."""
    ids: Sequence[str]
    """The first 20 of them."""

    @property
    def sentence(self) -> str:
        """What differs, where, and by how much."""
        one, other = SIDES[self.comparison]
        where = [
            self.day,
            self.company_id and f"company {self.company_id}",
            self.model and f"model {self.model}",
            self.run_id and f"run {self.run_id}",
        ]
        return (
            f"{self.figure} of {', '.join(part for part in where if part)}: {one} say "
            f"{_number(self.first)}, {other} {_number(self.second)}."
        )


def _number(value: float) -> str:
    if value == int(value):
        return f"{value:,.0f}"
    return f"{value:,.4f}" if abs(value) >= 1 else f"{value:.8g}"
