"""The word lists of one language: which words speak for which topic, mood or outcome.

A term is a word or a phrase. `*` at the end of a word stands for any ending, `*` alone for up to
four words. `!` before a term makes it count more, `~` less. Accents and case do not matter.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from tomllib import loads
from typing import Any, Final, Self

from batch_assets.local.analyst.words import words_of

LANGUAGES: Final = ("nl", "en", "de", "fr", "es", "pl")
FALLBACK: Final = "en"
"""Whose word lists are used for a language that has none."""

_WEIGHTS: Final = {"!": 3.0, "~": 1.0}
_USUAL_WEIGHT: Final = 2.0
_GAP: Final = 4
_REMEMBERED_WORDS: Final = 20_000
_LONG_WORD: Final = 6
_SMILES: Final = ("😊", "😀", "🎉", "😂", "❤", "🥳")
_FROWNS: Final = ("😡", "😠", "🤬", "😞", "😢", "👎")


@dataclass(frozen=True, slots=True)
class Term:
    """One entry of a word list. `label` is its list, such as `topics.payslip`."""

    label: str
    weight: float
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Hit:
    """A term that was found, at the position of its first word."""

    position: int
    term: Term


@dataclass(frozen=True, slots=True)
class _Candidates:
    """The terms that begin with a word; most phrases are ruled out by the word after it."""

    complete: tuple[Term, ...]
    by_second_word: dict[str, list[Term]]
    loose: tuple[Term, ...]

    @classmethod
    def of(cls, terms: Sequence[Term]) -> Self:
        """Sorts the terms by what has to follow."""
        by_second_word: dict[str, list[Term]] = {}
        loose = []
        for term in terms:
            if len(term.words) > 1 and not term.words[1].endswith("*"):
                by_second_word.setdefault(term.words[1], []).append(term)
            elif len(term.words) > 1:
                loose.append(term)
        complete = tuple(term for term in terms if len(term.words) == 1)
        return cls(complete, by_second_word, tuple(loose))


class Lexicon:
    """The word lists of one language, indexed by the first word of each term."""

    def __init__(self, data: dict[str, dict[str, list[str]]]) -> None:
        self.greetings: tuple[str, ...] = tuple(data["questions"].pop("greetings"))
        self.terms: tuple[Term, ...] = tuple(_terms(data))
        self._exact: dict[str, list[Term]] = defaultdict(list)
        self._beginning: dict[str, list[Term]] = defaultdict(list)
        for term in self.terms:
            head = term.words[0]
            if head.endswith("*"):
                self._beginning[head[:-1]].append(term)
            else:
                self._exact[head].append(term)
        words = {word for term in self.terms for word in term.words if len(word) > 1}
        self._whole_words = frozenset(word for word in words if not word.endswith("*"))
        self._beginnings = frozenset(word[:-1] for word in words if word.endswith("*"))
        # Most words of a conversation are in no list, and the same words come again and again.
        self._terms_from = lru_cache(_REMEMBERED_WORDS)(self._look_up)
        self._meant_by = lru_cache(_REMEMBERED_WORDS)(self._meant)

    def hits(self, words: Sequence[str]) -> Iterator[Hit]:
        """All terms that occur in `words`, in the order of their first words.

        Two letters that were swapped in a long word are understood.
        """
        words = [self._meant_by(word) for word in words]
        for position, word in enumerate(words):
            found = self._terms_from(word)
            if found is None:
                continue
            following = words[position + 1] if position + 1 < len(words) else ""
            for term in (*found.complete, *found.by_second_word.get(following, ()), *found.loose):
                if _continues(words, position + 1, term.words, 1):
                    yield Hit(position, term)

    def _meant(self, word: str) -> str:
        """The word itself, or the word of a list that it becomes by swapping two inner letters."""
        if len(word) < _LONG_WORD or self._is_listed(word):
            return word
        for at in range(1, len(word) - 2):
            swapped = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
            if self._is_listed(swapped):
                return swapped
        return word

    def _is_listed(self, word: str) -> bool:
        return word in self._whole_words or any(
            word[:length] in self._beginnings for length in range(1, len(word) + 1)
        )

    def _look_up(self, word: str) -> _Candidates | None:
        found = list(self._exact.get(word, ()))
        for length in range(1, len(word) + 1):
            found += self._beginning.get(word[:length], ())
        return _Candidates.of(found) if found else None


def _continues(words: Sequence[str], at: int, term: Sequence[str], nth: int) -> bool:
    """Whether the words from `at` on are those of the term from its `nth` on."""
    for place in range(nth, len(term)):
        wanted = term[place]
        if wanted == "*":
            ends = range(at, at + _GAP + 1)
            return any(_continues(words, end, term, place + 1) for end in ends)
        if at >= len(words):
            return False
        if words[at] != wanted and not _begins(words[at], wanted):
            return False
        at += 1
    return True


def _begins(word: str, wanted: str) -> bool:
    return wanted[-1] == "*" and word.startswith(wanted[:-1])


def _terms(data: dict[str, dict[str, list[str]]]) -> Iterator[Term]:
    for section, lists in data.items():
        for name, entries in lists.items():
            for entry in entries:
                weight = _WEIGHTS.get(entry[0], _USUAL_WEIGHT)
                yield Term(f"{section}.{name}", weight, _pattern(entry.lstrip("!~")))
    for label, emoji in (("tone.positive", _SMILES), ("tone.negative", _FROWNS)):
        for each in emoji:
            yield Term(label, _USUAL_WEIGHT, (each,))


def _pattern(entry: str) -> tuple[str, ...]:
    """The folded words of an entry, each with the `*` that it had."""
    pattern: list[str] = []
    for word in entry.split():
        folded = words_of(word)
        if word.endswith("*") and folded:
            folded[-1] += "*"
        pattern += folded or ["*"]
    return tuple(pattern)


@cache
def lexicon(language: str) -> Lexicon:
    """The word lists for an ISO 639-1 code, or English ones where there are none."""
    name = language if language in LANGUAGES else FALLBACK
    source = files(__package__) / "lexicons" / f"{name}.toml"
    data: dict[str, Any] = loads(source.read_text(encoding="utf-8"))
    return Lexicon(data)
