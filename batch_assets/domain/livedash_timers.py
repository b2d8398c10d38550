"""LiveDash's own batch timers: what each does to what is ours, and how they are turned off."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from batch_assets.domain.health import Hold

REMEDY: Final = (
    "Start LiveDash's server without OPENAI_API_KEY: it says so in its log and goes on making "
    "requests, while its batch timers stay off."
)
"""What was tried and works. No variable of LiveDash's own turns only its batch timers off."""

_DID: Final[Mapping[str, str]] = {
    "create": "its create timer has bought batches",
    "retry": "its retry timer has bought dead letters live",
    "process": "its process timer has reset requests that were under way",
}


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that a timer of LiveDash's has done."""

    timer: str
    """`create`, `retry`, `process`, or `unknown`."""
    company_id: str | None
    company: str | None
    request_id: str | None
    batch_id: str | None
    """LiveDash's batch; for a request that was reset the batch of ours that it was in."""
    is_purchase: bool
    is_duplicate: bool
    """We have bought the same, too."""
    noticed_at: datetime


def said_of(acts: Mapping[str, int]) -> str:
    """What the timers have done, by the number of acts of each: a clause with its counts."""
    said = [f"{words} ({acts[timer]:,} seen)" for timer, words in _DID.items() if acts.get(timer)]
    return " and ".join(said)


def hold_of(acts: Mapping[str, int], quiet_seconds: float) -> Hold | None:
    """Why nothing may be submitted because of these acts, and what to do; `None` without any."""
    said = said_of(acts)
    if not said:
        return None
    return Hold(
        f"LiveDash's own batch timers run beside this project: {said}. Submissions go on once they "
        f"have been quiet for {quiet_seconds / 60:.0f} minutes.",
        REMEDY,
    )
