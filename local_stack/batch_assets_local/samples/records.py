"""What the samples are made of: companies, sessions, messages, and what a session should show."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from importlib.resources import files
from tomllib import loads
from typing import Final
from uuid import UUID, uuid5

_IMPORTED_AFTER: Final = timedelta(minutes=2)
_REQUESTED_AFTER: Final = timedelta(minutes=5)
_BEFORE_A_LINE: Final = len("[12.03.2026 09:30:05] Assistant: ")


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
    """One message as LiveDash's import writes it; `order` counts from 0 within its session.

    It makes a message of each line of a transcript. One that goes on with the line before has the
    role `unknown` and no time.
    """

    role: str
    content: str = field(repr=False)
    timestamp: datetime | None
    order: int


@dataclass(frozen=True, slots=True)
class Expected:
    """The truth of a conversation: what a reader would conclude, as its scenario says.

    `escalated` and `forwarded_hr` are meant as by LiveDash: escalated to a supervisor or manager;
    an HR contact mentioned or provided.
    """

    language: str
    category: str
    sentiment: str
    escalated: bool
    forwarded_hr: bool
    questions: tuple[str, ...] = ()
    """What was asked, in English and in its order; each once."""


@dataclass(frozen=True, slots=True)
class SampleSession:
    """One conversation, for which the whole analysis is asked.

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
    model: str
    scenario: str | None = None
    expected: Expected | None = None

    @property
    def imported(self) -> datetime:
        """When LiveDash took it in."""
        return self.end + _IMPORTED_AFTER

    @property
    def requested(self) -> datetime:
        """When LiveDash's processing timer made the request."""
        return self.end + _REQUESTED_AFTER

    @property
    def transcript_characters(self) -> int:
        """The length of the transcript that was fetched: each line with its time and role."""
        return sum(
            len(one.content) + _BEFORE_A_LINE * (one.timestamp is not None) + 1
            for one in self.messages
        )


NAMESPACE: Final = UUID("6f1d3c0a-5b0e-4e52-9a53-0c9c1c1f7a11")
"""All ids of the samples are made from this one, so that they are the same on every machine."""


@cache
def sample_companies() -> tuple[SampleCompany, ...]:
    """The companies of the demo, the largest first and the suspended one last."""
    source = files(__package__) / "companies.toml"
    entries = loads(source.read_text(encoding="utf-8"))["companies"]
    return tuple(
        SampleCompany(id=str(uuid5(NAMESPACE, entry["key"])), **entry) for entry in entries
    )
