"""Finds the scenario that a conversation was made from, and with it the truth of the conversation.

Each line of a scenario becomes a pattern that fits whatever `phrasing` and `typing_habits` may have
made of it. A conversation is a sample if each of its messages fits a line of one scenario, or one
that all conversations in its language have in common; nothing else is taken for one.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain, count
from typing import Final

from batch_assets_local.samples.phrasing import CHOICE, EMOJI, SLOT
from batch_assets_local.samples.records import Expected
from batch_assets_local.samples.scenarios import (
    LANGUAGES,
    Line,
    Phrasebook,
    Scenario,
    phrasebook,
    questions,
)
from batch_assets_local.samples.storyteller import ASKED

Said = Sequence[tuple[str, str]]
"""The (role, text) of each message; what goes on over several lines is one text."""

_WORD: Final = re.compile(r"[^\W\d_]{6,}")
_NOTHING: Final = re.compile(r"(?!)")
_DROPPED: Final = re.compile(rf"[\s.{''.join(EMOJI)}]")
_PART: Final = re.compile(rf"({CHOICE.pattern})|({SLOT.pattern})|({ASKED.pattern})")


_Patterns = dict[str, re.Pattern[str]]


def recognize(said: Said) -> Expected | None:
    """The truth of a conversation of the samples; `None` for any other, and for an empty one."""
    heard = [(role, _canonical(text)) for role, text in said]
    for likeness in _likenesses() if heard else ():
        asked = likeness.asked_in(heard)
        if asked is not None:
            scenario = likeness.scenario
            return Expected(
                likeness.language,
                scenario.category,
                scenario.sentiment,
                scenario.escalated,
                scenario.forwarded_hr,
                asked,
            )
    return None


@dataclass(frozen=True, slots=True)
class _Likeness:
    """What conversations of one scenario look like: patterns by role, its own and common ones."""

    language: str
    scenario: Scenario
    own: _Patterns
    common: _Patterns

    def asked_in(self, heard: Said) -> tuple[str, ...] | None:
        """What was asked, in English, if each message fits; else `None`."""
        asked: dict[str, None] = {}
        for role, text in heard:
            matches = (one.get(role, _NOTHING).fullmatch(text) for one in (self.own, self.common))
            match = next(filter(None, matches), None)
            if match is None:
                return None
            marks = (name for name, found in match.groupdict().items() if found is not None)
            asked |= dict.fromkeys(questions()[name.partition("__")[0]] for name in marks)
        return tuple(asked)


@cache
def _likenesses() -> tuple[_Likeness, ...]:
    """Those of all scenarios in all languages."""
    return tuple(chain.from_iterable(_in_language(phrasebook(each)) for each in LANGUAGES))


def _in_language(book: Phrasebook) -> Iterator[_Likeness]:
    common = _patterns(chain.from_iterable((*book.openings, *book.hellos, *book.thanks)))
    for scenario in book.scenarios:
        passages = chain.from_iterable(one.variants for one in scenario.passages)
        own = _patterns(chain.from_iterable(passages))
        yield _Likeness(book.language, scenario, own, common)


def _patterns(lines: Iterable[Line]) -> _Patterns:
    """By role, one pattern for whatever is said of any of the lines."""
    numbers = count()
    by_role: dict[str, list[str]] = defaultdict(list)
    for line in lines:
        by_role[line.role].append(_fitting(line.pattern, numbers))
    return {role: re.compile("|".join(each), re.DOTALL) for role, each in by_role.items()}


def _fitting(pattern: str, numbers: Iterator[int]) -> str:
    """A regular expression for what is said of a pattern; a mark is an empty group of its name."""
    parts, end = [], 0
    for match in _PART.finditer(pattern):
        parts.append(re.escape(_canonical(pattern[end : match.start()])))
        choice, _, options, slot, *_, mark = match.groups()
        if choice:
            fitting = "|".join(_fitting(option, numbers) for option in options.split("|"))
            parts.append(f"(?:{fitting})")
        else:
            parts.append(".+?" if slot else f"(?P<{mark}__{next(numbers)}>)")
        end = match.end()
    parts.append(re.escape(_canonical(pattern[end:])))
    return "".join(parts)


def _canonical(text: str) -> str:
    """What typing habits leave alone: small letters, those within a word in order of the alphabet,
    without blanks, full stops and smiles.
    """
    return _DROPPED.sub("", _WORD.sub(_in_order, text.lower()))


def _in_order(word: re.Match[str]) -> str:
    letters = word[0]
    return f"{letters[0]}{''.join(sorted(letters[1:-1]))}{letters[-1]}"
