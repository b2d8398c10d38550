"""The questions that an employee asked, in the employee's own words."""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Final

from batch_assets.local.analyst.conversation import Turn
from batch_assets.local.analyst.lexicon import lexicon
from batch_assets.local.analyst.words import words_of

MOST: Final = 5
LONGEST: Final = 200
_SHORTEST: Final = 3
_SENTENCE_END: Final = re.compile(r"(?<=[.!?…])\s+|\n+")
_AFTERMATH: Final = re.compile(r"[^\w)\"'»”%]+$")


def questions_in(turns: Sequence[Turn], language: str) -> tuple[str, ...]:
    """Up to five different questions of at most 200 characters, in the order they were asked."""
    found: dict[tuple[str, ...], str] = {}
    for turn in turns:
        if turn.by_employee:
            for question in _asked(turn.text, language):
                found.setdefault(tuple(words_of(question)), question)
                if len(found) == MOST:
                    return tuple(found.values())
    return tuple(found.values())


def _asked(text: str, language: str) -> Iterator[str]:
    for sentence in _SENTENCE_END.split(text):
        bare = _greeting(language).sub("", sentence.strip()).strip()
        words = words_of(bare)
        if len(words) >= _SHORTEST and ("?" in bare or _is_unmarked(bare, words, language)):
            yield _tidy(bare)


def _is_unmarked(sentence: str, words: Sequence[str], language: str) -> bool:
    """Whether it begins like a question whose mark was left out, and is no exclamation."""
    if sentence[-1] in ".!":
        return False
    hits = list(lexicon(language).hits(words))
    opens = any(hit.position == 0 and hit.term.label == "questions.openers" for hit in hits)
    return opens and not any(hit.term.label == "tone.positive" for hit in hits)


def _tidy(sentence: str) -> str:
    """With a capital letter, one question mark, and cut at a word if it is too long."""
    text = " ".join(sentence.split())
    text = _AFTERMATH.sub("", text.split("?")[0])
    if len(text) >= LONGEST:
        text = _AFTERMATH.sub("", text[: LONGEST - 2].rsplit(" ", 1)[0]) + "…"
    start = 1 if text.startswith("¿") else 0
    return f"{text[:start]}{text[start : start + 1].upper()}{text[start + 1 :]}?"


@cache
def _greeting(language: str) -> re.Pattern[str]:
    """Words of greeting or transition at the beginning of a sentence."""
    words = sorted(lexicon(language).greetings, key=len, reverse=True)
    either = "|".join(re.escape(word) for word in words)
    return re.compile(rf"^[¡\s]*(?:(?:{either})(?!\w)[\s,!.:-]*)+", re.IGNORECASE)
