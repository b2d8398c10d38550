"""How large a benchmark is, how far away its API, and what lets one run move all of it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

MODEL = "gpt-4o-mini"


@dataclass(frozen=True, slots=True)
class Size:
    """What a database holds before anything is measured."""

    companies: int
    requests: int
    """Waiting requests of each company."""
    messages: int
    """Messages of each waiting request's session."""
    history: int
    """Finished requests, of all companies together."""
    delay: float = 0.0
    """Seconds that the API takes before each answer."""
    at_a_time: int | None = None
    """Calls that the API takes at one time; it refuses what comes on top of them."""

    @property
    def waiting(self) -> int:
        """Waiting requests of all companies together."""
        return self.companies * self.requests

    def of_database(self) -> "Size":
        """The same without what is the API's: sizes that agree in it can share a database."""
        return replace(self, delay=0.0, at_a_time=None)

    def __str__(self) -> str:
        far = f", {self.delay:g} s a call" if self.delay else ""
        narrow = "" if self.at_a_time is None else f", {self.at_a_time} calls at a time"
        return (
            f"{self.companies:,} companies x {self.requests:,} requests x {self.messages} "
            f"messages, {self.history:,} finished requests{far}{narrow}"
        )

    def settings(self) -> Mapping[str, str]:
        """Settings under which nothing is left for the next run; all others are the defaults.

        An operation that fails is not done again by the original: that would be measured, too.
        """
        return {
            "FALLBACK_ON_ERRORS": "false",
            "BATCH_MIN_SIZE": "1",
            "BATCH_TOKEN_ALLOWANCE": "100000000000",
            "BATCH_ROWS_PER_RUN": str(10 * self.waiting),
            "BATCH_OP_SECONDS": "3600",
        }
