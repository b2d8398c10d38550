"""The fields that answers are made of; the processing types share them.

A description is a line of the prompt, after the field's name: it says what the name and the
schema do not, in the fewest words, since each request pays for it. Limits are not in the schema
(strict mode refuses them), so a description says them too. Each field is liberal where a value can
only mean one thing and strict otherwise. A text from a model is cleaned before it is stored.
"""

import re
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

MAX_QUESTIONS = 5
QUESTION_CHARACTERS = 500
"""LiveDash's unique index on `"Question".content` holds 2,700 bytes: 500 characters always fit."""
SUMMARY_CHARACTERS = (10, 300)

_CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f]")
"""Control characters that are no white space; PostgreSQL refuses the first of them, NUL."""

_LETTER_OR_DIGIT = re.compile(r"[^\W_]")

ELLIPSIS = "…"


class Sentiment(StrEnum):
    """LiveDash's `"SentimentCategory"`."""

    POSITIVE = "POSITIVE"
    NEUTRAL = "NEUTRAL"
    NEGATIVE = "NEGATIVE"


class Category(StrEnum):
    """LiveDash's `"SessionCategory"`."""

    SCHEDULE_HOURS = "SCHEDULE_HOURS"
    LEAVE_VACATION = "LEAVE_VACATION"
    SICK_LEAVE_RECOVERY = "SICK_LEAVE_RECOVERY"
    SALARY_COMPENSATION = "SALARY_COMPENSATION"
    CONTRACT_HOURS = "CONTRACT_HOURS"
    ONBOARDING = "ONBOARDING"
    OFFBOARDING = "OFFBOARDING"
    WORKWEAR_STAFF_PASS = "WORKWEAR_STAFF_PASS"  # noqa: S105 - an employee's badge, no password
    TEAM_CONTACTS = "TEAM_CONTACTS"
    PERSONAL_QUESTIONS = "PERSONAL_QUESTIONS"
    ACCESS_LOGIN = "ACCESS_LOGIN"
    SOCIAL_QUESTIONS = "SOCIAL_QUESTIONS"
    UNRECOGNIZED_OTHER = "UNRECOGNIZED_OTHER"


_NOT_LETTERS = re.compile(r"[^A-Z0-9]+")
_LANGUAGE_TAG = re.compile(r"([a-z]{2})(?:[-_][a-z0-9]{1,8})*")


def cleaned(text: str) -> str:
    """The text on one line, without control characters, and such that UTF-8 can hold it.

    Half of a surrogate pair becomes U+FFFD; a run of white space becomes one space.
    """
    if not text.isprintable():
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        text = _CONTROLS.sub("", text)
    return " ".join(text.split())


def shortened(text: str, limit: int) -> str:
    """At most `limit` characters with "…" at the end, cut between words where that loses little.

    Some languages put no spaces between words: there the cut falls anywhere.
    """
    if len(text) <= limit:
        return text
    room = limit - len(ELLIPSIS)
    words = text[: room + 1].rpartition(" ")[0]
    return (words if len(words) >= room // 2 else text[:room]) + ELLIPSIS


def cleaned_value(value: Any) -> Any:
    """A text cleaned, any other JSON value as it is: for the validator that refuses it."""
    return cleaned(value) if isinstance(value, str) else value


def _constant(value: Any) -> Any:
    """`"Leave & vacation"` as `"LEAVE_VACATION"`: LiveDash's labels and its values are the same."""
    value = cleaned_value(value)
    return _NOT_LETTERS.sub("_", value.upper()).strip("_") if isinstance(value, str) else value


def _language(value: Any) -> Any:
    """`"EN"` and `"en-US"` as `"en"`; what is no language tag is left for the pattern to refuse."""
    value = cleaned_value(value)
    if not isinstance(value, str):
        return value
    tag = _LANGUAGE_TAG.fullmatch(value.lower())
    return tag[1] if tag else value


def _question(value: Any) -> Any:
    value = cleaned_value(value)
    return shortened(value, QUESTION_CHARACTERS) if isinstance(value, str) else value


def _summary(value: Any) -> Any:
    value = cleaned_value(value)
    return shortened(value, SUMMARY_CHARACTERS[1]) if isinstance(value, str) else value


def _distinct(questions: list[str]) -> list[str]:
    """The first five that say something, each once whatever its letter case."""
    distinct: dict[str, str] = {}
    for text in filter(_has_words, questions):
        distinct.setdefault(text.casefold(), text)
    return list(distinct.values())[:MAX_QUESTIONS]


def _has_words(text: str) -> bool:
    return _LETTER_OR_DIGIT.search(text) is not None


LanguageField = Annotated[
    str,
    Field(pattern=r"^[a-z]{2}$", description="user's ISO 639-1"),
    BeforeValidator(_language),
]
SentimentField = Annotated[Sentiment, BeforeValidator(_constant)]
CategoryField = Annotated[
    Category,
    BeforeValidator(_constant),
    Field(description="PERSONAL (own data), SOCIAL (small talk)"),
]
"""The two that are misleading are explained; the other names say what they are."""
EscalatedField = Annotated[bool, Field(description="to supervisor or manager")]
ForwardedHrField = Annotated[bool, Field(description="HR contact mentioned or provided")]
QuestionsField = Annotated[
    list[Annotated[str, BeforeValidator(_question)]],
    AfterValidator(_distinct),
    Field(description=f"user's, ≤{MAX_QUESTIONS}, paraphrased in English"),
]
SummaryField = Annotated[
    str,
    Field(
        min_length=SUMMARY_CHARACTERS[0],
        max_length=SUMMARY_CHARACTERS[1],
        description="English, {}-{} characters".format(*SUMMARY_CHARACTERS),
    ),
    BeforeValidator(_summary),
]
