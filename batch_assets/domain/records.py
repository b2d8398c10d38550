"""Frozen records that the packages hand each other. Ids are LiveDash's text ids unless said."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from batch_assets.domain.errors import Failure
from batch_assets.domain.money import Cost, Usage


@dataclass(frozen=True, slots=True)
class Company:
    """An active company."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits for one company."""

    company_id: str
    requests: int
    oldest_wait_seconds: float


@dataclass(frozen=True, slots=True)
class Conversation:
    """A request of a claimed batch with its session's messages, in their order; may be empty.

    `times`, `roles` and `contents` have an entry for each message. A time is UTC, to the second, as
    `2026-03-12 09:30:05`.
    """

    request_id: str
    session_id: str
    batch_id: str
    model: str
    processing_type: str
    times: Sequence[str] = ()
    roles: Sequence[str] = ()
    contents: Sequence[str] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Findings:
    """What an answer says of a session. `None`: not asked for, so the column is left as it is."""

    language: str | None = None
    sentiment: str | None = None
    category: str | None = None
    escalated: bool | None = None
    forwarded_hr: bool | None = None
    summary: str | None = field(default=None, repr=False)
    questions: tuple[str, ...] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Response:
    """What the server says of one answered request, beside the answer's text."""

    request_id: str | None
    """The server's id of the completion, `chatcmpl-…`."""
    model: str | None
    service_tier: str | None
    system_fingerprint: str | None
    usage: Usage
    content: str | None = field(repr=False)
    refused: bool = False
    finish_reason: str | None = None


@dataclass(frozen=True, slots=True)
class ResultLine:
    """One line of an output or error file: a response, a failure, or both (a paid refusal)."""

    request_id: str
    response: Response | None
    failure: Failure | None
    answered: bool = True
    """False for a row that never ran (expired, cancelled): nothing was paid, nothing was tried."""
    in_error_file: bool = False


@dataclass(frozen=True, slots=True)
class RowOutcome:
    """What ingestion makes of one result line, ready to be written.

    With `findings` the row is complete, with a `failure` it failed, and with neither it never ran
    and waits again. `response` and `cost` are there whenever the row was paid for, also when its
    answer could not be used.
    """

    request_id: str
    response: Response | None = None
    cost: Cost = field(default_factory=Cost)
    findings: Findings | None = None
    failure: Failure | None = None
    processing_type: str | None = None
    """As what estimates learn from its usage; `None`: they do not."""


@dataclass(frozen=True, slots=True)
class BatchErrorLine:
    """One validation error of a batch: the server's code and the 1-based line, if it gave one."""

    code: str
    line: int | None = None


@dataclass(frozen=True, slots=True)
class RemoteBatch:
    """A batch as the server describes it, normalised: absent and empty file ids are `None`."""

    id: str
    status: str
    input_file_id: str | None
    output_file_id: str | None = None
    error_file_id: str | None = None
    created_at: datetime | None = None
    completed_at: datetime | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    total: int = 0
    completed: int = 0
    failed: int = 0
    errors: tuple[BatchErrorLine, ...] = ()
    billed: Usage | None = None
    """The tokens of all answers together; `None`: the server does not say."""

    @property
    def has_files(self) -> bool:
        """Whether there is anything to read."""
        return self.output_file_id is not None or self.error_file_id is not None


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file on the server."""

    id: str
    name: str
    created_at: datetime | None
    bytes: int


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to move one batch: void as soon as the row's `fence` is another."""

    batch_id: str
    fence: int
