"""What is looked up for people: companies by their name, one batch with all that is known of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class NamedCompany:
    """A company with LiveDash's word for its status."""

    id: str
    name: str
    status: str


@dataclass(frozen=True, slots=True)
class BatchRecord:
    """A batch as it stands in our schema, and its requests by what came of them."""

    id: str
    openai_batch_id: str | None
    """`None` until the server has it."""
    is_ours: bool
    """False for one that LiveDash made, or the database that this one is a copy of."""
    company_id: str
    company: str | None
    """The company's name; `None` once the company is gone."""
    model: str | None
    state: str
    kind: str
    """`live` if its requests are sent one by one: the server knows nothing of it."""
    server_status: str | None
    server_status_since: datetime | None
    server_errors: tuple[str, ...]
    """The server's codes, if it refused the batch."""
    requests: int
    outcomes: Mapping[str, int]
    """Requests by the outcome of their attempt; `open` are those without one."""
    shared: int
    """Requests that were not in it, and have the answer of one that was and asked the same."""
    estimated_tokens: int
    prompt_tokens: int
    completion_tokens: int
    estimated_cost_eur: float
    cost_eur: float
    live_cost_eur: float
    unpriced: int
    """Answers whose cost is not known, and not in these."""
    run_id: str
    """The run that has claimed and sent it; empty if none of Dagster's has."""
    read_run_id: str
    """The run that has read its results last."""
    claimed_at: datetime
    submitted_at: datetime | None
    cancelled_at: datetime | None
    """When it was cancelled from here for the first time."""
    ended_at: datetime | None
    settled_at: datetime | None
    released_at: datetime | None
    abandoned_at: datetime | None
    """When an operator has given it up; what it still brings is read."""
    late_answers: int
    """Answers that it brought after that."""
    wasted_cost_eur: float
    """What these have cost; not in `cost_eur`."""

    def named(self, noun: str = "Batch") -> str:
        """Name it with its company, to begin a sentence with unless `noun` is in small letters."""
        return f"{noun} {self.id} of {self.company or self.company_id}"


@dataclass(frozen=True, slots=True)
class OpenBatches:
    """The batches in one state that are not finished."""

    state: str
    batches: int
    requests: int
    oldest_seconds: float
    """Since the oldest of them was claimed."""
    oldest_id: str
    incomplete: int
    """How many have ended, and the server has not shown all that there is of them."""


@dataclass(frozen=True, slots=True)
class LastRun:
    """A run of Dagster's that has worked on the database, and when it ended."""

    run_id: str
    ended_at: datetime
