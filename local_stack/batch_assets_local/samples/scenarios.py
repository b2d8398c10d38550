"""Reads the hand-written conversations, `conversations/<language>.toml`.

A scenario's `dialogue` is plain text in blocks, which blank lines separate. A line that begins
with `E:` (employee) or `B:` (bot) starts a message; a line without either continues it.

- `(maybe)` as a block's first line: the block is left out of about half of the sessions.
- `(or)`: of neighbouring blocks that begin so, a session has exactly one.
- `[a|b]` is one of the phrases; `[1: a|b]` is the same choice as every other `[1: ...]` of the
  scenario, so that an answer fits its question.
- `{slot}` is a fact of the company, or a value from `[slots]`, the same one throughout a
  session. `{day:+5}`, `{weekday:+5}` and `{month:-1}` count from the day of the session in days
  (a weekend moves on to a working day) or months; `{digits:5}` is a number of five digits.
- `<leave_request>` marks the phrase with which an employee asks what `questions.toml` has under
  that name. The mark is not said; what a session has of them is the truth of what was asked.

`escalated` and `forwarded_hr` are meant as by LiveDash: to a supervisor or manager; an HR contact
mentioned or provided.

`thanks = true`: the session may end with one of the common thanks. `exact = true`: no common
greeting is put before it and nobody mistypes it. `rare = true`: once in a company at most.
`countries`: only for companies from there.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import groupby
from tomllib import loads
from typing import Any, Final

LANGUAGES: Final = ("nl", "en", "de", "fr", "es", "pl")
_ROLES: Final = {"E:": "user", "B:": "assistant"}
_MARKS: Final = frozenset({"(maybe)", "(or)"})


@dataclass(frozen=True, slots=True)
class Line:
    """One message before its choices are made and its slots are filled."""

    role: str
    pattern: str


@dataclass(frozen=True, slots=True)
class Passage:
    """A part of a dialogue of which a session gets exactly one of the `variants`."""

    variants: tuple[tuple[Line, ...], ...]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One hand-written conversation with what a reader should conclude from it."""

    id: str
    category: str
    sentiment: str
    passages: tuple[Passage, ...]
    escalated: bool = False
    forwarded_hr: bool = False
    thanks: bool = False
    exact: bool = False
    rare: bool = False
    countries: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Phrasebook:
    """The scenarios of one language and what they have in common."""

    language: str
    calendar: Mapping[str, Any]
    slots: Mapping[str, tuple[str, ...]]
    openings: tuple[tuple[Line, ...], ...]
    hellos: tuple[tuple[Line, ...], ...]
    thanks: tuple[tuple[Line, ...], ...]
    scenarios: tuple[Scenario, ...]

    def scenarios_for(self, country: str) -> tuple[Scenario, ...]:
        """The scenarios that fit an employer in this country."""
        return tuple(s for s in self.scenarios if not s.countries or country in s.countries)


@cache
def questions() -> Mapping[str, str]:
    """What employees come to ask, in English, by the names that the dialogues mark."""
    source = files(__package__) / "questions.toml"
    return loads(source.read_text(encoding="utf-8"))


@cache
def phrasebook(language: str) -> Phrasebook:
    """The conversations of one of `LANGUAGES`, read once."""
    source = files(__package__) / "conversations" / f"{language}.toml"
    data = loads(source.read_text(encoding="utf-8"))
    common = data["common"]
    return Phrasebook(
        language=language,
        calendar=data["calendar"],
        slots={name: tuple(values) for name, values in data["slots"].items()},
        openings=tuple((Line("assistant", text),) for text in common["greetings"]),
        hellos=tuple(_in_turn(texts) for texts in common["hellos"]),
        thanks=tuple(_in_turn(texts) for texts in common["thanks"]),
        scenarios=tuple(_scenario(entry) for entry in data["scenarios"]),
    )


def _in_turn(texts: list[str]) -> tuple[Line, ...]:
    return tuple(
        Line("assistant" if number % 2 else "user", text) for number, text in enumerate(texts)
    )


def _scenario(entry: dict[str, Any]) -> Scenario:
    return Scenario(
        passages=_passages(entry["dialogue"]),
        countries=tuple(entry.get("countries", ())),
        **{key: value for key, value in entry.items() if key not in {"dialogue", "countries"}},
    )


def _passages(dialogue: str) -> tuple[Passage, ...]:
    blocks = [_block(text) for text in dialogue.strip().split("\n\n")]
    passages: list[Passage] = []
    for mark, group in groupby(blocks, key=lambda block: block[0]):
        variants = [lines for _, lines in group]
        if mark == "(or)":
            passages.append(Passage(tuple(variants)))
        else:
            absent: tuple[tuple[Line, ...], ...] = ((),) if mark == "(maybe)" else ()
            passages.extend(Passage((lines, *absent)) for lines in variants)
    return tuple(passages)


def _block(text: str) -> tuple[str, tuple[Line, ...]]:
    first, *rest = text.split("\n")
    mark, rows = (first, rest) if first in _MARKS else ("", [first, *rest])
    lines: list[Line] = []
    for row in rows:
        role = _ROLES.get(row[:2])
        if role:
            lines.append(Line(role, row[2:].strip()))
        else:
            lines[-1] = Line(lines[-1].role, f"{lines[-1].pattern}\n{row}")
    return mark, tuple(lines)
