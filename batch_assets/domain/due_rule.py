"""When what waits for a company is sent: enough requests wait, or the oldest waited long enough.

This is the only place of the rule; its numbers are BATCH_MIN_SIZE and BATCH_MAX_WAIT_MINUTES, whose
defaults stand in `settings/sending.py`. The backlog sensor's statement (`newly_due` in
`store/watching.sql`) has to say it once more in SQL, since it reads no rows; a property test holds
it to this.
"""

from dataclasses import dataclass

from batch_assets.domain.records import Backlog


@dataclass(frozen=True, slots=True)
class DueRule:
    """LiveDash's rule: 10 requests, or the oldest for 30 minutes, unless settings say otherwise."""

    min_requests: int
    max_wait_seconds: float

    def is_due(self, backlog: Backlog) -> bool:
        """Whether a company's waiting requests are to be sent now."""
        if backlog.requests == 0:
            return False
        return (
            backlog.requests >= self.min_requests
            or backlog.oldest_wait_seconds >= self.max_wait_seconds
        )

    def due_in_seconds(self, backlog: Backlog) -> float:
        """In how many seconds what waits is due if nothing more comes; 0 if it is."""
        if self.is_due(backlog):
            return 0.0
        return max(self.max_wait_seconds - backlog.oldest_wait_seconds, 0.0)
