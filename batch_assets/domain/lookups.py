"""What people look up and are shown: companies, batches and dead letters, with all that is known.

None of it holds text of a conversation.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from batch_assets.domain.money import Price

MOST_LISTED = 20
"""How many batches a report lists; the database has all of them."""

HIDDEN: Mapping[str, bool] = MappingProxyType({"hidden": True})
"""Metadata of a report's field that is for the program alone."""


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
    synchronous_cost_eur: float
    unpriced: int
    """Answers whose cost is not known, and not in these."""
    cost_usd: float | None
    """`None`: nothing was read, or before USD were kept."""
    price: Price | None
    """What its answers are priced at; `None`: nobody knew when it was claimed."""
    unattributed_usd: float
    unattributed_eur: float
    """What was billed and no answer was read for; not in `cost_eur`."""
    unattributed_is_estimated: bool
    run_id: str
    """The run that has claimed and sent it; empty if none of Dagster's has."""
    read_run_id: str
    """The run that has read its results last."""
    claimed_at: datetime
    submitted_at: datetime | None
    cancelled_at: datetime | None
    """When it was cancelled from here for the first time."""
    ended_at: datetime | None
    finalized_at: datetime | None
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
class CompanyStatistics:
    """One company's requests by bucket, and what its batches have cost."""

    company_id: str
    name: str
    status: str
    sessions: int
    waiting: int
    in_batch: int
    follows: int
    """They ask the same as another open one, and will share its answer."""
    complete: int
    retry: int
    dead: int
    failed_elsewhere: int
    """Failed before this project came, or by LiveDash itself: retried only when asked."""
    answered_before: int
    """Answered by LiveDash itself, and never marked so: they are not sent."""
    failed_before: int
    """Tried by LiveDash itself without an answer, and never marked so: they are not sent."""
    prompt_tokens: int
    completion_tokens: int
    cost_eur: float
    synchronous_cost_eur: float
    saved_eur: float
    """What the answers that could be used have cost less than synchronous requests."""
    unpriced: int
    """Answers that were paid for and whose cost is not known."""
    unattributed_eur: float
    """What was billed and no answer was read for; not in `cost_eur`."""


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


@dataclass(frozen=True, slots=True)
class Moved:
    """What a run has sent and read, and what the answers have cost."""

    submitted_requests: int
    completed_requests: int
    failed_requests: int
    cost_eur: float


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
    is_unpriced: bool = False
    """Whether it was answered, and nobody knows for how much."""
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
class DeadLetterPage:
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
    external: int = 0
    """Requests that had failed through LiveDash itself, and wait again."""
    hastened: int = 0
    """Requests that had a retry date: it is now, so that the next run lets them wait again."""
    overtaken: int = 0
    """Requests that LiveDash has changed or deleted meanwhile: only our entry has gone."""


@dataclass(frozen=True, slots=True)
class BatchSummary:
    """One batch in the list of a report."""

    batch_id: str
    openai_batch_id: str
    company: str
    """Its name where that is known, else its id."""
    requests: int
    state: str
    sent_by_run: str
