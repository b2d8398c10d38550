"""OpenAI for LiveDash: it answers everything at once and keeps what it billed."""

import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from drills.livedash.calls import (
    Answer,
    Created,
    Line,
    RefusedError,
    Remote,
    Request,
    UnavailableError,
)

ANSWER: Final = Answer(
    json.dumps(
        {
            "sentiment": "NEUTRAL",
            "category": "UNRECOGNIZED_OTHER",
            "summary": "LiveDash bought this one itself.",
            "language": "en",
        }
    )
)


@dataclass(frozen=True, slots=True)
class Purchase:
    """One request that LiveDash paid for."""

    kind: str
    """`batch` or `live`."""
    request_id: str
    session_id: str
    processing_type: str
    model: str


@dataclass
class StubApi:
    """Takes every batch and answers every request; what it is asked for is bought.

    A batch that it does not know is refused, as one that another key made.
    """

    answer: Callable[[Request], Answer] = lambda _request: ANSWER
    purchases: list[Purchase] = field(default_factory=list)
    is_down: bool = False
    """Whether reading calls fail, after all their tries: what is in flight has then failed."""
    on_purchase: Callable[[Sequence[Request]], None] = lambda _requests: None
    """Called when a purchase was made, and LiveDash has not written it down yet."""
    prefix: str = "livedash"
    _batches: dict[str, list[Request]] = field(default_factory=dict)
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    def buy(self, requests: Sequence[Request]) -> Created:
        """Take a batch."""
        name = f"{self.prefix}-{next(self._numbers)}"
        self._batches[name] = list(requests)
        self._bill("batch", requests)
        return Created(f"batch_{name}", f"file-{name}-input")

    def retrieve(self, openai_batch_id: str) -> Remote:
        """A batch of LiveDash's is complete."""
        self._be_up()
        name = openai_batch_id.removeprefix("batch_")
        if name not in self._batches:
            raise RefusedError(f"No such batch: {openai_batch_id}")
        return Remote("completed", f"file-{name}-output", completed_at=datetime.now(UTC))

    def download(self, file_id: str) -> Sequence[Line]:
        """The answers of a batch."""
        self._be_up()
        name = file_id.removeprefix("file-").removesuffix("-output")
        if name not in self._batches:
            raise RefusedError(f"No such file: {file_id}")
        return [Line(one.id, self.answer(one)) for one in self._batches[name]]

    def call(self, request: Request) -> Answer:
        """Answer one synchronous call."""
        self._be_up()
        self._bill("live", [request])
        return self.answer(request)

    def _bill(self, kind: str, requests: Sequence[Request]) -> None:
        self.purchases += [
            Purchase(kind, one.id, one.session_id, one.processing_type, one.model)
            for one in requests
        ]
        self.on_purchase(requests)

    def _be_up(self) -> None:
        if self.is_down:
            raise UnavailableError("it did not answer after 4 attempts")
