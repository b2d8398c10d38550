"""Lets a scenario be played once: which lines are said, in which words, and when."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from random import Random

from batch_assets_local.samples.phrasing import Phrasing, TypingHabits
from batch_assets_local.samples.records import SampleCompany, SampleMessage
from batch_assets_local.samples.scenarios import Line, Phrasebook, Scenario, questions

ASKED = re.compile(r"\s*<(\w+)>")
_GREETED_BY_BOT = 0.26
_GREETED_AT_ALL = 0.4
_THANKED = 0.55


class Storyteller:
    """Plays scenarios for one company; everything by chance comes from `random`."""

    def __init__(self, company: SampleCompany, random: Random) -> None:
        self._company = company
        self._random = random

    def play(
        self, book: Phrasebook, scenario: Scenario, start: datetime
    ) -> tuple[tuple[SampleMessage, ...], tuple[str, ...]]:
        """One conversation that begins at `start`, and what is asked in it, in English."""
        facts = {"company": self._company.name, **self._company.facts}
        phrasing = Phrasing(book, facts, start.date(), self._random)
        habits = TypingHabits(self._random, content=scenario.sentiment != "NEGATIVE")
        said: list[tuple[str, str]] = []
        asked: dict[str, None] = {}
        for line in self._script(book, scenario):
            marked = phrasing.render(line.pattern)
            asked |= dict.fromkeys(questions()[name] for name in ASKED.findall(marked))
            text = ASKED.sub("", marked)
            typed = line.role == "user" and not scenario.exact
            said.append((line.role, habits.type(text) if typed else text))
        return self._timed(said, start), tuple(asked)

    def _script(self, book: Phrasebook, scenario: Scenario) -> Sequence[Line]:
        lines: list[Line] = []
        draw = self._random.random()
        if not scenario.exact and draw < _GREETED_AT_ALL:
            lines += self._random.choice(book.openings if draw < _GREETED_BY_BOT else book.hellos)
        for passage in scenario.passages:
            lines += self._random.choice(passage.variants)
        open_end = scenario.thanks and lines[-1].role == "assistant"
        if open_end and self._random.random() < _THANKED:
            lines += self._random.choice(book.thanks)
        return lines

    def _timed(self, said: Sequence[tuple[str, str]], start: datetime) -> tuple[SampleMessage, ...]:
        """Gives each message its moment: a bot answers in seconds, a person reads and types.

        As in a transcript, moments are whole seconds, and what was said in several lines becomes
        as many messages, of which the first has the role and the moment.
        """
        messages: list[SampleMessage] = []
        moment = start
        for place, (role, text) in enumerate(said):
            if place:
                pause = (1.2, 5) if role == "assistant" else (6, 55)
                moment += timedelta(seconds=round(self._random.uniform(*pause) + len(text) / 40))
            first, *more = text.split("\n")
            messages.append(SampleMessage(role, first, moment, len(messages)))
            for line in more:
                messages.append(SampleMessage("unknown", line, None, len(messages)))
        return tuple(messages)
