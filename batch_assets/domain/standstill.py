"""How long a batch has stood still on the server, beyond all that brings it to its end."""

from typing import Final

BETWEEN: Final[frozenset[str]] = frozenset({"cancelling", "finalizing"})
"""The server's words for a batch that is about to end, in minutes as a rule."""


def standstill_seconds(
    status: str,
    *,
    unchanged_seconds: float,
    cancelled_seconds: float | None,
    overdue_seconds: float,
) -> float | None:
    """How long a batch that has not ended has been one that should have; `None` if it is none.

    About to end: since the server said so. Any other: since it was cancelled from here, or since it
    was overdue (not above zero before that), whichever is longer.
    """
    if status in BETWEEN:
        return unchanged_seconds
    longest = max(cancelled_seconds or 0.0, overdue_seconds)
    return longest if longest > 0 else None
