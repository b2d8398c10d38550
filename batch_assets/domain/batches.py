"""Records of batches on their way: what the store hands to a stage and gets back from it.

The requests of synchronous batches are sent one by one, and at the full price.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from batch_assets.domain.accounts import DEFAULT_ACCOUNT
from batch_assets.domain.money import Price, Usage
from batch_assets.domain.records import BatchErrorLine, Lease, RemoteBatch, RowOutcome
from batch_assets.domain.states import GIVEN_UP

BatchRow = tuple[str, str]
"""A row of a batch: the batch's id and the request's."""

EARLIER_INSTALLATION: Final = "orphaned"
"""In the place of the installation's id, and of the account: an earlier installation made it, and
its schema was lost."""


@dataclass(frozen=True, slots=True)
class ClaimedBatch:
    """A batch whose intent is committed: its rows are ours to send, under `lease`."""

    lease: Lease
    company_id: str
    model: str
    requests: int
    tokens: int
    cost_eur: float
    is_priced: bool = True
    """False if nobody knows what its model costs."""
    account_name: str = DEFAULT_ACCOUNT
    """The account that it was claimed for: no other one sends it."""

    @property
    def id(self) -> str:
        """The batch's own id: LiveDash's row, our row, the metadata and the file's name."""
        return self.lease.batch_id


@dataclass(frozen=True, slots=True)
class Claim:
    """What one call of `claim` did. Companies in `remaining` are still to be visited.

    `held` counts requests that were looked at: there may be more behind a cap, or of a model in
    cooldown.
    """

    batches: tuple[ClaimedBatch, ...]
    rejected: Mapping[str, int]
    held: Mapping[str, int]
    remaining: tuple[str, ...]
    failed: Mapping[str, str] = field(default_factory=dict)
    """Companies for which nothing could be claimed because the database refused, and why."""


@dataclass(frozen=True, slots=True)
class UploadedBatch:
    """A claimed batch whose input file the server has; `dropped` rows did not go into it."""

    lease: Lease
    input_file_id: str
    input_bytes: int
    dropped: tuple[str, ...] = ()
    is_whole: bool = True
    """False if rows are missing that were not dropped: their sessions were deleted meanwhile."""


@dataclass(frozen=True, slots=True)
class SubmittedBatch:
    """A batch that the server has, as it described it."""

    lease: Lease
    remote: RemoteBatch


@dataclass(frozen=True, slots=True)
class InFlightBatch:
    """A batch that was still running when the server was last asked."""

    id: str
    fence: int
    openai_batch_id: str
    model: str | None
    server_status: str
    submitted_at: datetime
    is_ours: bool
    """False for one that LiveDash made, or the database that this one is a copy of."""
    age_seconds: float = field(compare=False)
    """Since it was submitted, on the database's clock, at the moment of reading."""
    unchanged_seconds: float = field(compare=False)
    """Since the server's word became what it is."""
    unasked_seconds: float = field(compare=False)
    """Since it was last asked for alone after that; without that the same."""
    cancelled_seconds: float | None = field(compare=False)
    """Since it was cancelled from here for the first time."""


@dataclass(frozen=True, slots=True)
class EndedBatch:
    """A batch that ended on the server and whose results are to be read, under `lease`."""

    lease: Lease
    is_ours: bool
    company_id: str
    company: str | None
    """The company's name; `None` once the company is gone."""
    run_id: str
    """The run that has sent it; empty if none of Dagster's has."""
    requests: int
    model: str | None
    """The model that was asked for; `None` for a batch that LiveDash made."""
    openai_batch_id: str
    server_status: str
    server_errors: tuple[BatchErrorLine, ...]
    server_answered: int
    """Requests that the server says it has answered or failed; 0 where it did not say."""
    ended_seconds: float
    """Since the server's word that it ended was first heard."""
    input_file_id: str | None
    output_file_id: str | None
    error_file_id: str | None
    is_synchronous: bool = False
    """Whether its requests are sent one by one: then the server knows nothing of it."""
    is_of_earlier_installation: bool = False
    """Whether an earlier installation has made it: some of its rows may have left it unrecorded."""
    answered: int = 0
    """Its rows of which an answer, or an error of their own, was read before."""
    completed: int = 0
    """Those of them that have an answer."""
    returned: int = 0
    """Its rows of which it was read before that they never ran."""
    polls: int = 0
    """How often it was put down since it could not be read to its end."""
    incomplete_seconds: float | None = None
    """Since it was read first and something of it was missing; `None`: that was not so yet."""
    output_bytes: int | None = None
    error_bytes: int | None = None
    """What was received of each file before; `None`: not all of it, or nothing of use."""
    price: Price | None = None
    """That of the day on which it was claimed; `None`: it was not known then, or is not ours."""
    billed: Usage | None = None
    """What the server has said since it ended that it has billed; `None`: nothing new."""

    @property
    def id(self) -> str:
        """The batch's own id."""
        return self.lease.batch_id

    @property
    def never_ran(self) -> bool:
        """Whether the server refused it in validation, so that there is nothing to read."""
        has_files = self.output_file_id is not None or self.error_file_id is not None
        return self.server_status == "failed" and not (has_files or self.server_answered)

    @property
    def is_given_up(self) -> bool:
        """Whether an operator has given it up, so that nothing of it is waited for."""
        return self.server_status in GIVEN_UP

    def as_now(self, remote: RemoteBatch) -> "EndedBatch":
        """The same with what the server shows of it now; what it showed before stays."""
        output_id = remote.output_file_id or self.output_file_id
        error_id = remote.error_file_id or self.error_file_id
        return replace(
            self,
            output_file_id=output_id,
            error_file_id=error_id,
            output_bytes=self.output_bytes if output_id == self.output_file_id else None,
            error_bytes=self.error_bytes if error_id == self.error_file_id else None,
            server_answered=max(self.server_answered, remote.completed + remote.failed),
            billed=remote.billed or self.billed,
        )


@dataclass(frozen=True, slots=True)
class UnresolvedBatch:
    """A batch whose run ended, or whose call went unanswered, before the server's word was kept."""

    lease: Lease
    account: str | None
    """With which key and address it was to be made; `None` if that was not kept yet."""
    input_file_id: str | None
    claimed_at: datetime
    sought_at: datetime
    """When it was first looked for: no call for it is under way since then."""
    absences: int
    absent_since: datetime | None
    """When the lists had first shown that it is not there."""
    is_of_earlier_installation: bool = False
    """Whether an earlier installation has made it, whose id is lost with its schema."""

    @property
    def id(self) -> str:
        """The batch's own id."""
        return self.lease.batch_id


@dataclass(frozen=True, slots=True)
class Leftover:
    """Files of a finalized or released batch that are still to be deleted on the server."""

    batch_id: str
    file_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BatchOutcomes:
    """What was read of one batch and is to be written, with the lines that belong to none of its
    rows."""

    lease: Lease
    outcomes: Sequence[RowOutcome]
    refused: int = 0
    gives_up: bool = False
    """Whether what LiveDash's database refuses is dead, and not to be read again."""
    price: Price | None = None
    """What the answers were priced at; kept with the batch if none was before."""
    model: str | None = None
    """The model that was asked for; `None`: estimates learn nothing of it."""


@dataclass(slots=True)
class Written:
    """What one call of `write_results` did with the outcomes of a batch."""

    completed: int = 0
    retry: int = 0
    dead: int = 0
    returned: int = 0
    discarded: int = 0
    """Paid for, but its session was deleted or its row changed meanwhile: the cost is kept."""
    refused: Counter[str] = field(default_factory=Counter)
    """Lines that were not applied: `duplicate`, for a row whose attempt had ended."""
    failure_kinds: Counter[str] = field(default_factory=Counter)
    """Of those to be retried and those that are dead."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_eur: float = 0.0
    cost_usd: float = 0.0
    cached_tokens: int = 0
    """Of the prompt tokens those that the server had in its cache."""
    reasoning_tokens: int = 0
    """Of the completion tokens those that are not in the answer."""
    synchronous_cost_eur: float = 0.0
    saved_eur: float = 0.0
    """What the answers that could be used have cost less than synchronous requests."""
    unpriced: int = 0
    """Paid answers whose cost is not known: it is in none of the sums."""
    failed_cost_eur: float = 0.0
    """Of the cost what was paid for answers that could not be used."""
    discarded_cost_eur: float = 0.0
    """Of the cost what was paid for answers that nobody wanted any more."""
    set_aside: int = 0
    """Rows that LiveDash's database refuses as yet: they stay in the batch, which is read again."""
    shared: int = 0
    """Requests that asked the same as one of these, and have its answer."""
    shared_saved_eur: float = 0.0
    """What they would have cost."""
    error: str = ""
    """The error's class if the database refused the outcomes: nothing of them was written."""

    def __add__(self, other: "Written") -> "Written":
        return Written(
            completed=self.completed + other.completed,
            retry=self.retry + other.retry,
            dead=self.dead + other.dead,
            returned=self.returned + other.returned,
            discarded=self.discarded + other.discarded,
            refused=self.refused + other.refused,
            failure_kinds=self.failure_kinds + other.failure_kinds,
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            cost_eur=self.cost_eur + other.cost_eur,
            cost_usd=self.cost_usd + other.cost_usd,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            reasoning_tokens=self.reasoning_tokens + other.reasoning_tokens,
            synchronous_cost_eur=self.synchronous_cost_eur + other.synchronous_cost_eur,
            saved_eur=self.saved_eur + other.saved_eur,
            unpriced=self.unpriced + other.unpriced,
            failed_cost_eur=self.failed_cost_eur + other.failed_cost_eur,
            discarded_cost_eur=self.discarded_cost_eur + other.discarded_cost_eur,
            set_aside=self.set_aside + other.set_aside,
            shared=self.shared + other.shared,
            shared_saved_eur=self.shared_saved_eur + other.shared_saved_eur,
        )


@dataclass(frozen=True, slots=True)
class SynchronousBatch:
    """A synchronous batch whose intent is committed: ours to send, under `lease`."""

    lease: Lease
    company_id: str
    model: str
    requests: int
    cost_eur: float
    """The estimate, at the tier that is asked for."""
    price: Price | None = None
    """With that tier's rates for `batch`."""
    account_name: str = DEFAULT_ACCOUNT
    """See `ClaimedBatch`."""

    @property
    def id(self) -> str:
        """The batch's own id: LiveDash's row and ours."""
        return self.lease.batch_id

    def to_read(self) -> EndedBatch:
        """The same as answers are written to it."""
        return EndedBatch(
            lease=self.lease,
            is_ours=True,
            company_id=self.company_id,
            company=None,
            run_id="",
            requests=self.requests,
            model=self.model,
            openai_batch_id=f"live:{self.id}",
            server_status="synchronous",
            server_errors=(),
            server_answered=0,
            ended_seconds=0.0,
            input_file_id=None,
            output_file_id=None,
            error_file_id=None,
            is_synchronous=True,
            price=self.price,
        )


@dataclass(frozen=True, slots=True)
class SynchronousClaim:
    """What one claim did; `held` counts requests that a budget or cap held back."""

    batches: tuple[SynchronousBatch, ...]
    held: Mapping[str, int]
