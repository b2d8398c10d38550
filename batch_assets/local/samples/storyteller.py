"""Lets a scenario be played once: which lines are said, in which words, and when."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from random import Random

from batch_assets.local.samples.phrasing import Phrasing
from batch_assets.local.samples.records import SampleCompany, SampleMessage
from batch_assets.local.samples.scenarios import Line, Phrasebook, Scenario
from batch_assets.local.samples.typing_habits import TypingHabits

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
    ) -> tuple[SampleMessage, ...]:
        """One conversation that begins at `start`."""
        facts = {"company": self._company.name, **self._company.facts}
        phrasing = Phrasing(book, facts, start.date(), self._random)
        habits = TypingHabits(self._random, content=scenario.sentiment != "NEGATIVE")
        said: list[tuple[str, str]] = []
        for line in self._script(book, scenario):
            text = phrasing.render(line.pattern)
            typed = line.role == "user" and not scenario.exact
            said.append((line.role, habits.type(text) if typed else text))
        return self._timed(said, start)

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
        """Gives each message its moment: a bot answers in seconds, a person reads and types."""
        messages = []
        moment = start
        for order, (role, text) in enumerate(said):
            if order:
                pause = (1.2, 5) if role == "assistant" else (6, 55)
                seconds = self._random.uniform(*pause) + len(text) / 40
                moment += timedelta(milliseconds=round(1000 * seconds))
            messages.append(SampleMessage(role=role, content=text, timestamp=moment, order=order))
        return tuple(messages)
