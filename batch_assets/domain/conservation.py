"""Row conservation: each request is in exactly one bucket, and the buckets add up to the rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from batch_assets.domain.cost_audit import CostDifference


class Violation(StrEnum):
    """What does not fit. Its ids are those of requests, unless it is about a batch or a stage."""

    IN_BATCH_WITHOUT_BATCH = "in_batch_without_batch"
    IN_BATCH_WITHOUT_ATTEMPT = "in_batch_without_attempt"
    ATTEMPT_WITHOUT_ROW = "attempt_without_row"
    OPEN_IN_FINISHED_BATCH = "open_in_finished_batch"
    OF_ANOTHER_COMPANY = "of_another_company"
    WAITING_IN_BATCH = "waiting_in_batch"
    FAILED_WITHOUT_ENTRY = "failed_without_entry"
    RETRY_AND_DEAD = "retry_and_dead"
    BATCH_COUNTERS = "batch_counters"
    ANSWERED_UNCALLED = "answered_uncalled"
    RETRY_OVERTAKEN = "retry_overtaken"
    DEAD_OVERTAKEN = "dead_overtaken"
    LEFT_BY_LIVEDASH = "left_by_livedash"
    FOLLOWER_OVERTAKEN = "follower_overtaken"
    LEADER_LOST = "leader_lost"
    RETRY_AND_FOLLOWS = "retry_and_follows"
    STAGE_WITHOUT_REQUEST = "stage_without_request"
    REQUEST_WITHOUT_STAGE = "request_without_stage"
    IN_UNWATCHED_BATCH = "in_unwatched_batch"


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a violation means and what a person does about it."""

    is_error: bool
    """False for what LiveDash has done beside us and what mends by itself or harms nothing."""
    sentence: str
    advice: str


_REPORT: Final = "Keep the database as it is and report it: this should never happen."
_TO_WAITING: Final = (
    "Set its processingStatus to PENDING_BATCHING and its batchId to NULL to have it sent again."
)

MEANINGS: Final[Mapping[Violation, Meaning]] = {
    Violation.IN_BATCH_WITHOUT_BATCH: Meaning(
        True,
        "The request is BATCHING_IN_PROGRESS, but in no batch, no retry, and follows none.",
        _TO_WAITING,
    ),
    Violation.IN_BATCH_WITHOUT_ATTEMPT: Meaning(
        True,
        "The request is in a batch of ours that does not wait for its answer.",
        "If LiveDash's tables were put back without the schema batch_assets: its answer was paid "
        f"for and is lost. {_TO_WAITING} If not, report it and keep the database as it is.",
    ),
    Violation.ATTEMPT_WITHOUT_ROW: Meaning(
        True,
        "A batch of ours waits for an answer to a request that is not in it: it might be paid "
        "for twice.",
        "If nobody changed the request by hand or in LiveDash, report it. The answer of this "
        "batch will be discarded and its cost kept.",
    ),
    Violation.OPEN_IN_FINISHED_BATCH: Meaning(
        True, "The batch is finished, but an attempt in it has no outcome.", _REPORT
    ),
    Violation.OF_ANOTHER_COMPANY: Meaning(
        True, "The request is in a batch of another company.", _REPORT
    ),
    Violation.WAITING_IN_BATCH: Meaning(
        True, "The request is PENDING_BATCHING and has a batchId: nobody will take it.", _TO_WAITING
    ),
    Violation.FAILED_WITHOUT_ENTRY: Meaning(
        True,
        "The request failed in a batch of ours and is neither to be retried nor a dead letter.",
        "Send it again with `batch-assets dead-letters requeue ID --external`, and report it.",
    ),
    Violation.RETRY_AND_DEAD: Meaning(
        True,
        "The request is to be retried and a dead letter at the same time.",
        "`batch-assets dead-letters requeue ID` puts it in one place; report it.",
    ),
    Violation.BATCH_COUNTERS: Meaning(
        True, "The counters of the batch do not add up to its requests.", _REPORT
    ),
    Violation.ANSWERED_UNCALLED: Meaning(
        True,
        "A synchronous call was made that was not written down before: had the run been killed, it "
        "would have been made again.",
        _REPORT,
    ),
    Violation.RETRY_OVERTAKEN: Meaning(
        False,
        "The request is to be retried, but LiveDash has changed it meanwhile.",
        "Nothing: the entry goes when its date has come.",
    ),
    Violation.DEAD_OVERTAKEN: Meaning(
        False,
        "The request is a dead letter, but LiveDash has changed it meanwhile.",
        "`batch-assets dead-letters requeue ID` removes the entry and leaves the request alone.",
    ),
    Violation.LEFT_BY_LIVEDASH: Meaning(
        False,
        "The request is in a batch of LiveDash's own that has ended: nobody waits for it.",
        _TO_WAITING,
    ),
    Violation.FOLLOWER_OVERTAKEN: Meaning(
        False,
        "The request shares the answer of another one, but LiveDash has changed it meanwhile.",
        "Nothing: the next run puts it back, or removes the entry.",
    ),
    Violation.LEADER_LOST: Meaning(
        False,
        "The request shares the answer of another one that is not open any more.",
        "Nothing: the next run ends it with that one, or lets it take that one's place.",
    ),
    Violation.RETRY_AND_FOLLOWS: Meaning(
        True,
        "The request is to be retried and shares the answer of another one at the same time.",
        _REPORT,
    ),
    Violation.STAGE_WITHOUT_REQUEST: Meaning(
        False,
        "The session's stage AI_ANALYSIS is IN_PROGRESS, but none of its requests is open: nobody "
        "will ever finish it. The ids are those of sessions.",
        "`batch-assets reset-stages` or reset_stages_job sets it to what the session's requests "
        "say: COMPLETED, FAILED, or PENDING, so that LiveDash asks again.",
    ),
    Violation.REQUEST_WITHOUT_STAGE: Meaning(
        False,
        "A request of the session is open, but its stage AI_ANALYSIS is not IN_PROGRESS: LiveDash "
        "may make another request for it. The ids are those of sessions.",
        "Nothing: a run sets the stage. `batch-assets reset-stages` does so now.",
    ),
    Violation.IN_UNWATCHED_BATCH: Meaning(
        True,
        "The request is in a batch that an earlier installation has left half-made, whose schema "
        "was lost: nobody watches it.",
        "Never change the rows by hand: the batch may be paid for. `batch-assets confirm`, if "
        "that was not done; the next run then finds the batch on the server and reads it.",
    ),
}


@dataclass(frozen=True, slots=True)
class Violations:
    """All violations of one kind."""

    kind: Violation
    count: int
    ids: Sequence[str]
    """The first 20, sorted: of requests, or of batches or sessions."""

    @property
    def meaning(self) -> Meaning:
        """What this kind means."""
        return MEANINGS[self.kind]


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at the rows has seen, and what did not fit."""

    seen: Mapping[str, int]
    """How many things of each kind were looked at; every kind is there, zeros too."""
    violations: Sequence[Violations]
    """Only kinds of which there are any; errors come first."""

    @property
    def is_clean(self) -> bool:
        """Whether everything fits."""
        return not self.violations

    @property
    def has_errors(self) -> bool:
        """Whether something does not fit that should never happen."""
        return any(found.meaning.is_error for found in self.violations)

    @property
    def numbers(self) -> dict[str, int]:
        """What was seen and the count of each kind of violation; every key each time, zeros too."""
        counts = {found.kind: found.count for found in self.violations}
        return {**self.seen, **{str(kind): counts.get(kind, 0) for kind in Violation}}


@dataclass(frozen=True, slots=True)
class CompanyRows:
    """All requests of one company, by bucket; the last three have no entry of ours."""

    company_id: str
    name: str
    rows: int
    waiting: int
    in_batch: int
    follows: int
    complete: int
    retry: int
    dead: int
    failed_elsewhere: int
    answered_before: int
    failed_before: int

    @property
    def in_buckets(self) -> int:
        """The sum of the buckets: `rows`, if each request is in exactly one."""
        return sum(getattr(self, name) for name in BUCKETS)


BUCKETS: Final = (
    *("waiting", "in_batch", "follows", "complete", "retry", "dead"),
    *("failed_elsewhere", "answered_before", "failed_before"),
)
"""The fields of `CompanyRows` that are buckets."""


@dataclass(frozen=True, slots=True)
class Audit:
    """Every row of every company at one moment."""

    companies: Sequence[CompanyRows]
    """Largest first."""
    look: Look
    rows: int
    """All requests, counted by themselves."""
    costs: Sequence[CostDifference] = ()
    """Money that is not the same from two sides."""

    @property
    def totals(self) -> CompanyRows:
        """The sums over all companies, as one that is called Total."""
        numbers = {
            name: sum(getattr(company, name) for company in self.companies)
            for name in ("rows", *BUCKETS)
        }
        return CompanyRows(company_id="", name="Total", **numbers)

    @property
    def not_adding_up(self) -> Sequence[CompanyRows]:
        """Companies whose buckets do not add up to their rows."""
        return [one for one in self.companies if one.in_buckets != one.rows]

    @property
    def adds_up(self) -> bool:
        """Whether each company's buckets add up, and the companies to all rows."""
        return not self.not_adding_up and self.totals.rows == self.rows

    @property
    def is_clean(self) -> bool:
        """Whether everything adds up and fits."""
        return self.adds_up and self.look.is_clean and not self.costs

    @property
    def numbers(self) -> dict[str, int]:
        """Rows, buckets, what was seen and violations; every key each time, zeros too."""
        totals = self.totals
        buckets = {name: getattr(totals, name) for name in BUCKETS}
        off = {
            "companies_not_adding_up": len(self.not_adding_up),
            "cost_differences": len(self.costs),
        }
        return {"rows": self.rows, **buckets, **off, **self.look.numbers}
