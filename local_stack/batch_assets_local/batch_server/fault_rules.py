"""Fault rules: which calls, batches and rows are struck, when and how; rules.py draws from them."""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

Seconds = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=0)]


class Settings(BaseModel):
    """The base of every part: immutable, and strict about names."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Probability = Annotated[float, Field(ge=0, le=1)]


def _checked_pattern(expression: str) -> str:
    try:
        re.compile(expression)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
    return expression


Pattern = Annotated[str, AfterValidator(_checked_pattern)]
"""A regular expression that is searched in a row's custom_id."""


class Chance(Settings):
    """Which of the matching occasions a rule strikes: skip `after`, then at most `count`.

    With `since` and `until` it holds between these times of the server's clock (Unix seconds): an
    incident of an hour, say. What comes outside of it is not counted.
    """

    name: str = ""
    after: Count = 0
    count: Count | None = None
    probability: Probability = 1
    seed: int = 0
    since: float | None = None
    until: float | None = None

    def holds_at(self, now: float) -> bool:
        """Whether the rule holds at this time of the server's clock."""
        has_begun = self.since is None or now >= self.since
        return has_begun and (self.until is None or now < self.until)


class ListedError(Settings):
    """One entry of a failed batch's `errors.data`; what is unset is null there."""

    code: str | None = None
    message: str | None = None
    param: str | None = None
    line: int | None = None


class BatchRule(Chance):
    """A fate decided when a batch is created, for those whose metadata has all of `metadata`.

    With `model` it strikes only batches whose first line asks for this model. `failed` strikes in
    validation: with the listed `errors`, with none at all (null) if `without_errors`, else with
    `code` and `message`; with `custom_id` only a batch that has such a row, and with `name_lines`
    it says which lines these are. The others end the batch once `after_rows` rows have run;
    `stalled` leaves it in progress then, until it is cancelled or its window is over: or in
    `finalizing` or `cancelling`, where nothing else ends it. It goes on after `stalled_seconds`,
    never without; what it `survives` does not end it either.
    """

    metadata: dict[str, str] = Field(default_factory=dict)
    model: str | None = None
    end_as: Literal["failed", "expired", "cancelled", "stalled"]
    after_rows: Count = 0
    stalls_in: Literal["in_progress", "finalizing", "cancelling"] = "in_progress"
    stalled_seconds: Seconds | None = None
    survives: tuple[Literal["cancel", "window"], ...] = ()
    code: str = "invalid_request"
    message: str = "The batch failed because a rule of the local server says so."
    errors: tuple[ListedError, ...] = ()
    without_errors: bool = False
    custom_id: Pattern | None = None
    name_lines: bool = False


Operation = Literal[
    "files.create",
    "files.list",
    "files.retrieve",
    "files.content",
    "files.delete",
    "batches.create",
    "batches.list",
    "batches.retrieve",
    "batches.cancel",
    "chat",
    "models.list",
    "models.retrieve",
]


class ErrorBody(Settings):
    """The inside of an OpenAI error; what is unset follows from the status."""

    message: str | None = None
    type: str | None = None
    param: str | None = None
    code: str | None = None


class AnswerEffect(Settings):
    """Answer with a status instead; with `work_done` the request was carried out all the same."""

    kind: Literal["answer"]
    status: Annotated[int, Field(ge=400, le=599)]
    error: ErrorBody = ErrorBody()
    headers: dict[str, str] = Field(default_factory=dict)
    work_done: bool = False


class DelayEffect(Settings):
    """Wait, before the work or between the work and its answer; the work is done in any case."""

    kind: Literal["delay"]
    seconds: Seconds
    when: Literal["before", "after"] = "before"


class DropEffect(Settings):
    """Close the connection without an answer; the work is done never, before that, or later."""

    kind: Literal["drop"]
    work: Literal["never", "done", "later"] = "never"
    later_seconds: Seconds = 1


class TruncateEffect(Settings):
    """Send the first `after_bytes` of the answer's body only.

    `content_length` promises the whole and closes early, `chunked` breaks off between chunks,
    `silent` ends properly, so that only the content can tell.
    """

    kind: Literal["truncate"]
    after_bytes: Count
    framing: Literal["content_length", "chunked", "silent"] = "content_length"


class BodyEffect(Settings):
    """Answer with a body of no API: a gateway's page, or JSON that means something else."""

    kind: Literal["body"]
    status: Annotated[int, Field(ge=200, le=599)] = 200
    content: str = "<p>busy</p>\n" * 20
    content_type: str = "text/html"


class LinesEffect(Settings):
    """Send a file's first `lines` lines only, or all of them with the custom_ids of others."""

    kind: Literal["first_lines", "other_lines"]
    lines: Count = 0


InsteadEffect = AnswerEffect | DropEffect | TruncateEffect | BodyEffect | LinesEffect
CallEffect = Annotated[InsteadEffect | DelayEffect, Field(discriminator="kind")]


class CallRule(Chance):
    """A fault of HTTP calls; `operation` `*` matches every call of the API.

    With `per_object` each batch and file has chances of its own. `filename` is searched in the name
    of the file that a call is about; `min_bytes` is of what the call sends.
    """

    operation: Operation | Literal["*"]
    per_object: bool = False
    filename: Pattern | None = None
    min_bytes: Count = 0
    effect: CallEffect

    @model_validator(mode="after")
    def _lines_are_a_files(self) -> Self:
        if isinstance(self.effect, LinesEffect) and self.operation != "files.content":
            raise ValueError(f"the effect {self.effect.kind!r} exists for files.content only")
        return self


class HttpErrorEffect(Settings):
    """The row gets an HTTP error; status 0 is what some servers write. Not billed."""

    kind: Literal["http_error"]
    status: Annotated[int, Field(ge=0, le=599)]
    error: ErrorBody = ErrorBody()


class ErrorLineEffect(Settings):
    """The row never ran: `response` is null and `error` says why. Not billed."""

    kind: Literal["error_line"]
    code: str = "request_timeout"
    message: str = "The request timed out before it could be completed."


class LineEffect(Settings):
    """The row ran and was billed, but its line is lost, doubled, someone else's or broken."""

    kind: Literal["missing", "duplicate", "unknown_custom_id", "invalid_json"]


class ContentEffect(Settings):
    """The model answered `content`, whatever was asked; the default fits no schema. Billed."""

    kind: Literal["content"]
    content: str = '{"unexpected": "shape"}'


class FinishEffect(Settings):
    """The model refused, or its answer was cut off. Billed."""

    kind: Literal["refusal", "length"]


class ShapeEffect(Settings):
    """The model's own answer in another shape; billed. `without_usage` says no tokens.

    `parts` is content as a list, `twice` the same object two times, `fenced`, `prose` and `think`
    have a code fence, sentences or thoughts around it.
    """

    kind: Literal["parts", "twice", "fenced", "prose", "think", "without_usage"]


class TierEffect(Settings):
    """The call is answered by another service tier than was asked for, and billed so."""

    kind: Literal["tier"]
    service_tier: str


RowEffect = Annotated[
    HttpErrorEffect
    | ErrorLineEffect
    | LineEffect
    | ContentEffect
    | FinishEffect
    | ShapeEffect
    | TierEffect,
    Field(discriminator="kind"),
]


class RowRule(Settings):
    """A fault of rows: those of a batch, or with `where` `live` the calls of the live endpoint.

    `service_tier` strikes only calls that ask for it. `custom_id` is a regular expression that is
    searched in the row's; `lines` are 1-based. With `sticky` the same custom_id is always struck or
    always spared, else each batch throws anew.
    """

    name: str = ""
    where: Literal["batch", "live"] = "batch"
    service_tier: str | None = None
    custom_id: Pattern | None = None
    lines: tuple[Annotated[int, Field(ge=1)], ...] | None = None
    probability: Probability = 1
    seed: int = 0
    sticky: bool = False
    effect: RowEffect

    @model_validator(mode="after")
    def _live_rules_fit(self) -> Self:
        if self.where == "live" and isinstance(self.effect, ErrorLineEffect | LineEffect):
            raise ValueError(f"the effect {self.effect.kind!r} exists in batches only")
        if self.where == "live" and (self.custom_id or self.lines):
            raise ValueError("a synchronous call has no custom_id and no line")
        if self.where == "batch" and (self.service_tier or isinstance(self.effect, TierEffect)):
            raise ValueError("a row of a batch has no service tier")
        return self
