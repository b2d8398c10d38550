"""The processing types: what can be asked about a conversation, and what is stored of the answer.

One more is a model of its answer, a `ProcessingType`, and its place in `TYPES`; see
`docs/processing_types.md`.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from enum import Enum
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, ConfigDict

from batch_assets.analysis.fields import (
    CategoryField,
    EscalatedField,
    ForwardedHrField,
    LanguageField,
    QuestionsField,
    SentimentField,
    SummaryField,
    shortened,
)
from batch_assets.domain.display import escaped
from batch_assets.domain.records import Findings

SHOWN_CHARACTERS = 40

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_FINDINGS = frozenset(field.name for field in fields(Findings))


class Answer(BaseModel):
    """The base of every answer model: a field beyond the declared ones is ignored."""

    model_config = ConfigDict(extra="ignore", validate_assignment=True, hide_input_in_errors=True)


@dataclass(frozen=True, slots=True)
class ProcessingType:
    """One thing that can be asked about a conversation."""

    name: str
    """The value of `"AIProcessingRequest"."processingType"`."""
    answer: type[Answer]
    """Its fields' descriptions are lines of the prompt; a name that says all needs none."""
    writes: tuple[str, ...]
    """The answer's fields that are stored; each is a field of `Findings` of the same name."""
    expected_tokens: int
    """Tokens of a usual answer, for estimates of the cost before it is sent."""
    prompt: str = "Analyse this HR chat"
    """What to do, without a full stop; that the conversation is data is said for all types."""

    formerly: frozenset[str] = frozenset()
    """All fields that the version before asked for, where these were fewer: an answer that has just
    them, of a batch that was sent then, was paid for and is taken as it is."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"{self.name!r} cannot name a processing type: {_NAME.pattern}")
        nowhere = set(self.writes) - (_FINDINGS & self.answer.model_fields.keys())
        if nowhere or not self.writes:
            raise ValueError(
                f"{self.name}: `writes` must name fields that its answer model and Findings "
                f"share; these are not: {', '.join(sorted(nowhere)) or '(none named)'}"
            )

    @property
    def meanings(self) -> list[str]:
        """What each field means that its name does not tell, a line a field, for the prompt."""
        return [
            f"{name}: {field.description}"
            for name, field in self.answer.model_fields.items()
            if field.description
        ]

    def written(self, answer: Answer) -> dict[str, Any]:
        """The stored fields that the model gave, as keyword arguments for `Findings`."""
        given = answer.model_fields_set
        return {name: _stored(getattr(answer, name)) for name in self.writes if name in given}


def _stored(value: Any) -> Any:
    """As the database takes it: an enumeration's value, a list as what does not change."""
    if isinstance(value, Enum):
        return value.value
    return tuple(value) if isinstance(value, list) else value


class Categorization(Answer):
    """The category of one conversation between an employee and an HR chatbot."""

    category: CategoryField


class SentimentAnalysis(Answer):
    """The employee's mood in one conversation with an HR chatbot."""

    sentiment: SentimentField


class SessionAnalysis(Answer):
    """The whole analysis of one conversation between an employee and an HR chatbot."""

    language: LanguageField
    sentiment: SentimentField
    escalated: EscalatedField
    forwarded_hr: ForwardedHrField
    category: CategoryField
    questions: QuestionsField
    summary: SummaryField


class Summary(Answer):
    """The summary of one conversation between an employee and an HR chatbot."""

    summary: SummaryField


CATEGORIZATION = ProcessingType(
    name="categorization",
    answer=Categorization,
    writes=("category",),
    expected_tokens=10,
)
SENTIMENT_ANALYSIS = ProcessingType(
    name="sentiment_analysis",
    answer=SentimentAnalysis,
    writes=("sentiment",),
    expected_tokens=10,
)
SESSION_ANALYSIS = ProcessingType(
    name="session_analysis",
    answer=SessionAnalysis,
    writes=tuple(SessionAnalysis.model_fields),
    expected_tokens=100,
    formerly=frozenset({"sentiment", "category", "summary", "language"}),
)
"""All that LiveDash keeps of a session, and the only type that it makes."""
FULL_ANALYSIS = replace(SESSION_ANALYSIS, name="full_analysis", formerly=frozenset())
"""The same question under LiveDash's older name.

Its batch code falls back to this one for a type that it does not know, and so do we.
"""
SUMMARY = ProcessingType(
    name="summary",
    answer=Summary,
    writes=("summary",),
    expected_tokens=40,
)


def by_name(types: Iterable[ProcessingType]) -> Mapping[str, ProcessingType]:
    """The types by their names, in the order that they are given.

    Raises:
        ValueError: Two have the same name.
    """
    found: dict[str, ProcessingType] = {}
    for one in types:
        if one.name in found:
            raise ValueError(f"two processing types are named {one.name}")
        found[one.name] = one
    return MappingProxyType(found)


TYPES = by_name((CATEGORIZATION, FULL_ANALYSIS, SENTIMENT_ANALYSIS, SESSION_ANALYSIS, SUMMARY))
"""All that there are. What is in a batch of LiveDash's own is looked for in this order."""


def is_known(processing_type: str) -> bool:
    """Whether there is a type of this name, so that nothing is asked in its place."""
    return processing_type in TYPES


def type_of(processing_type: str) -> ProcessingType:
    """What is asked for a request of this type: of an unknown one everything, as LiveDash does."""
    return TYPES.get(processing_type, FULL_ANALYSIS)


def known_type(processing_type: str) -> str:
    """The name of the type that is asked for a request of this type: one of few."""
    return type_of(processing_type).name


def shown_if_unknown(processing_type: str) -> str | None:
    """The name of a type that is not known, safe to show and not long; `None` of one that is."""
    if is_known(processing_type):
        return None
    return shortened(escaped(processing_type), SHOWN_CHARACTERS) or "(empty)"
