"""What the samples are made of: companies, sessions, messages, and what a session should show."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class SampleCompany:
    """A company of the demo. `languages` and `models` are the shares of its sessions."""

    id: str
    key: str
    name: str
    status: str
    country: str
    sessions: int
    languages: Mapping[str, int]
    models: Mapping[str, int]
    facts: Mapping[str, str]

    @property
    def csv_url(self) -> str:
        """Where LiveDash would fetch this company's sessions."""
        return f"https://export.{self.key}.example/livedash/sessions.csv"


@dataclass(frozen=True, slots=True)
class SampleMessage:
    """One message; `order` counts from 0 within its session."""

    role: str
    content: str = field(repr=False)
    timestamp: datetime
    order: int


@dataclass(frozen=True, slots=True)
class Expected:
    """What a reader of the conversation would conclude, as its scenario says."""

    language: str
    category: str
    sentiment: str
    escalated: bool
    forwarded_hr: bool


@dataclass(frozen=True, slots=True)
class SampleSession:
    """One conversation and the analyses that are asked for it.

    `expected` is `None` for a conversation that nobody has labelled, and for the one without
    messages. Times are in UTC.
    """

    id: str
    company_id: str
    start: datetime
    end: datetime
    country: str | None
    ip: str | None
    messages: tuple[SampleMessage, ...] = field(repr=False)
    processing_types: tuple[str, ...]
    model: str
    scenario: str | None = None
    expected: Expected | None = None
