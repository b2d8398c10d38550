"""Two English sentences that say what a conversation was about and how it ended."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from batch_assets.local.analyst.language import language_name
from batch_assets.local.analyst.sentiment import NEGATIVE, POSITIVE
from batch_assets.local.analyst.topics import UNRECOGNIZED, Subject

NOTHING_SAID: Final = "The conversation has no messages from an employee."

_OPENINGS: Final = ("Writing in {language}, {who} {deed}.", "In {language}, {who} {deed}.")
_ESCALATED: Final = (
    "The assistant could not settle it and handed it over to {receiver}",
    "The matter was handed over to {receiver}",
    "It ended with a handover to {receiver}",
)
_UNABLE: Final = (
    "The assistant said that it could not help with that",
    "The assistant declined and named the subjects that it can help with",
)
_TO_HR: Final = (
    "The assistant explained the way to go and pointed to HR",
    "The assistant answered and referred {other} to HR",
)
_DONE: Final = (
    "The assistant found an option and made the booking",
    "The assistant offered options and confirmed the one that was chosen",
)
_LONG: Final = (
    "The assistant answered step by step, over many messages",
    "After several follow-up questions the assistant had answered",
)
_ANSWERED: Final = (
    "The assistant explained what to do",
    "The assistant answered the question",
    "The assistant gave the information",
)
_CHAT: Final = (
    "The assistant replied in kind",
    "The assistant joined in and offered help",
)
_DISSATISFIED: Final = (
    ", and {other} remained dissatisfied",
    ", but {other} was not satisfied",
    ", which left {other} frustrated",
)
_PLEASED: Final = (", and {other} was pleased", ", and {other} was happy with it")
_THANKED: Final = (", and {other} said thank you", ", for which {other} thanked it")
_MANY_TURNS: Final = 14


@dataclass(frozen=True, slots=True)
class Course:
    """How a conversation went, as far as a summary tells."""

    language: str
    subject: Subject
    sentiment: str
    handed_over: bool
    """Whether a person took over, or was asked for."""
    escalated: bool
    """Whether that was a manager."""
    forwarded_hr: bool
    unable: bool
    done: bool
    """Whether the assistant said that it booked or reserved something."""
    thanked: bool
    turns: int
    """Messages of both sides."""
    answered: bool
    """Whether the assistant said anything."""


def summary_of(course: Course, variant: int) -> str:
    """Between 10 and 300 characters, without any text of the conversation.

    `variant` chooses among phrasings of the same meaning, so that a list of summaries does not
    read like one sentence over and over.
    """
    at_work = course.subject.category != UNRECOGNIZED
    facts = {
        "who": "an employee" if at_work else "a user",
        "other": "the employee" if at_work else "the user",
        "language": language_name(course.language),
        "deed": _deed(course.subject),
        "receiver": _receiver(course),
    }
    phrases = (_OPENINGS, _replies(course), _moods(course))
    opening, reply, mood = (_one(each, variant // 3**n) for n, each in enumerate(phrases))
    return f"{opening} {reply}{mood}.".format_map(facts)


def _receiver(course: Course) -> str:
    if course.escalated:
        return "a manager"
    return "a colleague in HR" if course.forwarded_hr else "a colleague"


def _one(phrases: Sequence[str], variant: int) -> str:
    return phrases[variant % len(phrases)]


def _deed(subject: Subject) -> str:
    if not subject.topics:
        return "wrote about something that is no HR subject"
    first, *more = (topic.phrase for topic in subject.topics)
    # "asked about a payslip and when the salary is paid", not "... and asked when ..."
    return " and ".join([first, *(_after(first, phrase) for phrase in more)])


def _after(first: str, second: str) -> str:
    same = first.startswith("asked ") and second.startswith("asked ")
    return second.removeprefix("asked ") if same else second


def _replies(course: Course) -> Sequence[str]:
    """The phrasings of what the assistant did; the weightiest thing is the one that is told."""
    told = (
        (not course.answered, ("The assistant did not answer",)),
        (course.handed_over, _ESCALATED),
        (course.unable, _UNABLE),
        (course.forwarded_hr, _TO_HR),
        (course.done, _DONE),
        (course.turns >= _MANY_TURNS, _LONG),
        (course.subject.category == "SOCIAL_QUESTIONS", _CHAT),
    )
    return next((phrases for applies, phrases in told if applies), _ANSWERED)


def _moods(course: Course) -> Sequence[str]:
    if not course.answered:
        return ("",)
    if course.sentiment == NEGATIVE:
        return _DISSATISFIED
    if course.sentiment == POSITIVE:
        return _PLEASED
    return _THANKED if course.thanked else ("",)
