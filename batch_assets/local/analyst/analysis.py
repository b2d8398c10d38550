"""Everything that is concluded from one conversation."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from zlib import crc32

from batch_assets.local.analyst.conversation import Turn
from batch_assets.local.analyst.language import UNKNOWN, language_of
from batch_assets.local.analyst.lexicon import Hit, lexicon
from batch_assets.local.analyst.questions import questions_in
from batch_assets.local.analyst.sentiment import NEUTRAL, sentiment_of
from batch_assets.local.analyst.summary import NOTHING_SAID, Course, summary_of
from batch_assets.local.analyst.topics import UNRECOGNIZED, Topic, first_topic, subject_of
from batch_assets.local.analyst.words import words_of


@dataclass(frozen=True, slots=True)
class Analysis:
    """What an answer can say of a conversation, under the names that schemas use.

    `escalated` and `forwarded_hr` are meant as by LiveDash: escalated to a supervisor or manager;
    an HR contact mentioned or provided.
    """

    language: str
    sentiment: str
    escalated: bool
    forwarded_hr: bool
    category: str
    questions: tuple[str, ...] = field(repr=False)
    summary: str = field(repr=False)


_HANDOVER = "outcome.escalation"
_MANAGER = "outcome.manager"
_NOTHING = Analysis(UNKNOWN, NEUTRAL, False, False, UNRECOGNIZED, (), NOTHING_SAID)


def analyse(turns: Sequence[Turn]) -> Analysis:
    """What the conversation shows; nothing is remembered from one to the next."""
    if not any(turn.by_employee for turn in turns):
        return _NOTHING
    language = language_of(turns)
    terms = lexicon(language)
    found = [(turn.by_employee, tuple(terms.hits(words_of(turn.text)))) for turn in turns]
    spoken = [hits for by_employee, hits in found if by_employee]
    replies = [hits for by_employee, hits in found if not by_employee]
    subject = subject_of(found)
    sentiment = sentiment_of(spoken)
    escalated = any(_count([turn], _HANDOVER) and _count([turn], _MANAGER) for turn in replies)
    forwarded = _count(replies, "outcome.hr") > _count(replies, "outcome.not_hr")
    course = Course(
        language=language,
        subject=subject,
        sentiment=sentiment,
        handed_over=_count(replies, _HANDOVER) + _count(spoken, "outcome.wants_person") > 0,
        escalated=escalated,
        forwarded_hr=forwarded,
        unable=_count(replies, "outcome.unable") > 0,
        done=_count(replies, "outcome.done") > 0,
        thanked=_count(spoken[-1:], "outcome.thanks") > 0,
        turns=len(turns),
        answered=bool(replies),
    )
    return Analysis(
        language=language,
        sentiment=sentiment,
        escalated=escalated,
        forwarded_hr=forwarded,
        category=subject.category,
        questions=_questions(turns, language, first_topic(spoken, subject.category)),
        summary=summary_of(course, _variant(turns)),
    )


def _questions(turns: Sequence[Turn], language: str, topic: Topic | None) -> tuple[str, ...]:
    """What the employee came to ask, in English; in the employee's own words if these are English
    and the topic has no question.
    """
    if topic and topic.question:
        return (topic.question,)
    return questions_in(turns, language) if language == "en" else ()


def _variant(turns: Sequence[Turn]) -> int:
    """A number that is the same for the same conversation, and as good as random otherwise."""
    return crc32("\n".join(turn.text for turn in turns).encode(errors="replace"))


def _count(turns: Sequence[Sequence[Hit]], label: str) -> int:
    return sum(hit.term.label == label for hits in turns for hit in hits)
