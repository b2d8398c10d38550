"""What stood around the stages: the company cache, the performance tracker, the statistics."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Engine, text

_COUNTS = text("""
    SELECT s."companyId" AS company_id, r."processingStatus"::text AS status, count(*) AS requests
    FROM public."AIProcessingRequest" AS r JOIN public."Session" AS s ON s.id = r."sessionId"
    GROUP BY 1, 2
""")


@dataclass
class ReplacedCache:
    """Remembers for `lifetime` seconds what it was told, however old that was by then (15).

    Each process had one, filled from the one that they shared.
    """

    ask: Callable[[], Sequence[str]]
    now: Callable[[], float]
    lifetime: float = 300
    _known: Sequence[str] = ()
    _asked_at: float = float("-inf")

    def active(self) -> Sequence[str]:
        if self.now() - self._asked_at >= self.lifetime:
            self._known, self._asked_at = self.ask(), self.now()
        return self._known


@dataclass
class ReplacedTracker:
    """Times of the two implementations, in the memory of one process (18)."""

    seconds: dict[str, list[float]] = field(
        default_factory=lambda: {"optimized": [], "original": []}
    )
    failures: Counter[str] = field(default_factory=Counter)

    def record(self, implementation: str, seconds: float) -> None:
        self.seconds[implementation].append(seconds)

    def record_failure(self, implementation: str) -> None:
        self.failures[implementation] += 1

    def choose(self) -> str:
        """The faster one, where nothing at all is the fastest."""
        calls = len(self.seconds["optimized"]) + self.failures["optimized"]
        if calls < 5:
            return "optimized"
        if self.failures["optimized"] >= 0.1 * calls:
            return "original"
        return min(self.seconds, key=self._average)

    def _average(self, implementation: str) -> float:
        known = self.seconds[implementation]
        return sum(known) / len(known) if known else 0.0


def original_statistics(engine: Engine) -> object:
    """Totals by status."""
    totals: Counter[str] = Counter()
    with engine.connect() as connection:
        for row in connection.execute(_COUNTS):
            totals[row.status] += row.requests
    return dict(totals)


def optimized_statistics(engine: Engine) -> object:
    """The same numbers in another shape (17)."""
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(_COUNTS)]
