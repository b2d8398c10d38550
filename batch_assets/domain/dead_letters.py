"""Dead letters as people list, read and requeue them. None of it holds text of a conversation."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Criteria:
    """Which dead letters are meant: those to which all that is given applies."""

    request_ids: Sequence[str] | None = None
    company_id: str | None = None
    code: str | None = None
    kind: str | None = None
    older_than: datetime | None = None
    newer_than: datetime | None = None

    @property
    def are_none(self) -> bool:
        """Whether every dead letter is meant."""
        return self == Criteria()


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A failed request that is not tried again unasked."""

    request_id: str
    company_id: str
    company: str | None
    """The company's name; `None` once the company is gone."""
    batch_id: str | None
    """The batch in which it failed last; `None` if it could never be sent."""
    attempts: int
    failure_kind: str
    code: str
    reason: str
    dead_at: datetime


@dataclass(frozen=True, slots=True)
class Attempt:
    """A request in one batch."""

    batch_id: str
    claimed_at: datetime
    outcome: str | None
    """`None` while the batch runs."""
    counted: bool
    """Whether it counts against BATCH_MAX_ATTEMPTS."""
    code: str | None
    reason: str | None
    cost_eur: float
    ended_at: datetime | None
    shares_answer_of: str | None = None
    """The request that was sent instead, and whose answer this one has."""


@dataclass(frozen=True, slots=True)
class RequestHistory:
    """A request, why it is dead if it is, and what was tried."""

    request_id: str
    status: str | None
    """LiveDash's word; `None` once the request was deleted with its session."""
    company: str | None
    follows: str | None
    """The open request that asks the same, and whose answer it will share."""
    dead_letter: DeadLetter | None
    attempts: Sequence[Attempt]
    """Oldest first."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some dead letters, newest first, and how many there are of that kind in all."""

    letters: Sequence[DeadLetter]
    total: int


@dataclass(frozen=True, slots=True)
class Group:
    """How many failed requests of a company are meant, by the code of their failure."""

    company_id: str
    company: str | None
    code: str | None
    """`None` for requests that failed through LiveDash itself."""
    bucket: str
    """`dead`, `retry` or `failed_elsewhere`."""
    requests: int


@dataclass(slots=True)
class Requeued:
    """What requeueing has moved."""

    requeued: int = 0
    """Dead letters that wait again."""
    foreign: int = 0
    """Requests that had failed through LiveDash itself, and wait again."""
    hastened: int = 0
    """Requests that had a retry date: it is now, so that the next run lets them wait again."""
    overtaken: int = 0
    """Requests that LiveDash has changed or deleted meanwhile: only our entry has gone."""
