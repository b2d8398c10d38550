"""What LiveDash's timers ask of OpenAI, and what they are answered."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


class UnavailableError(Exception):
    """A call failed after all its tries, or its circuit breaker is open."""


class RefusedError(Exception):
    """A call was answered with a 4xx, after which LiveDash does not try again."""


@dataclass(frozen=True, slots=True)
class Request:
    """A row of LiveDash's, as one of its timers read it."""

    id: str
    session_id: str
    company_id: str
    model: str
    processing_type: str


@dataclass(frozen=True, slots=True)
class Created:
    """A batch that OpenAI has made."""

    openai_batch_id: str
    input_file_id: str


@dataclass(frozen=True, slots=True)
class Remote:
    """A batch as OpenAI describes it; an id that is missing there is null."""

    status: str
    output_file_id: str | None = None
    error_file_id: str | None = None
    completed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A chat completion, as far as LiveDash's batch path reads it."""

    content: str
    prompt_tokens: int = 100
    completion_tokens: int = 50

    @property
    def total_tokens(self) -> int:
        """Both together."""
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an output file; without an answer it failed."""

    custom_id: str
    answer: Answer | None = None
    error: str = "Unknown error"


class Api(Protocol):
    """Who answers the batch timers. Each call may raise UnavailableError or RefusedError."""

    def buy(self, requests: Sequence[Request]) -> Created:
        """Upload a company's requests and create a batch of them: this is a purchase."""

    def retrieve(self, openai_batch_id: str) -> Remote:
        """How a batch is."""

    def download(self, file_id: str) -> Sequence[Line]:
        """An output file's lines."""

    def call(self, request: Request) -> Answer:
        """Send one request to the live endpoint: this is a purchase."""
