"""Expands the hand-written scenarios into the sessions of the demo, the same for the same seed."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from random import Random
from typing import Final, TypeVar
from uuid import uuid5

from batch_assets_local.samples.records import (
    NAMESPACE,
    Expected,
    SampleCompany,
    SampleMessage,
    SampleSession,
    sample_companies,
)
from batch_assets_local.samples.scenarios import Scenario, phrasebook
from batch_assets_local.samples.storyteller import Storyteller

_Choice = TypeVar("_Choice")

DEFAULT_SEED: Final = 20
DAYS: Final = 6
"""Sessions lie within about this many days before `now`."""

_SETTLED: Final = timedelta(minutes=50)
_HOURS: Final = range(5, 23)
_BUSY: Final = (3, 5, 9, 10, 9, 8, 8, 6, 7, 7, 6, 5, 4, 4, 3, 3, 2, 1)


def sample_sessions(seed: int = DEFAULT_SEED, *, now: datetime) -> Iterator[SampleSession]:
    """The sessions of all companies, company by company; no two conversations are the same.

    They began between fifty minutes and about six days before `now`. The last session of the
    largest company has no messages.

    Raises:
        ValueError: `now` has no time zone.
    """
    if now.tzinfo is None:
        raise ValueError("The time from which the samples count back needs a time zone.")
    largest = max(company.sessions for company in sample_companies())
    for company in sample_companies():
        maker = _SessionMaker(company, seed, now.astimezone(UTC))
        spoken = company.sessions - (company.sessions == largest)
        casting = _casting(company, Random(f"{seed}:{company.key}"))
        for index, (language, scenario) in zip(range(spoken), casting, strict=False):
            yield maker.conversation(index, language, scenario)
        if spoken < company.sessions:
            yield maker.silence(spoken)


def _casting(company: SampleCompany, random: Random) -> Iterator[tuple[str, Scenario]]:
    """Which scenario comes next, without end: each language deals all of its own before any twice.

    Rare scenarios are in the first deal only.
    """
    decks: dict[str, list[Scenario]] = {}
    while True:
        language = _pick(random, company.languages)
        scenarios = phrasebook(language).scenarios_for(company.country)
        if language not in decks:
            decks[language] = random.sample(scenarios, len(scenarios))
        elif not decks[language]:
            decks[language] = [scenario for scenario in scenarios if not scenario.rare]
            random.shuffle(decks[language])
        yield language, decks[language].pop()


class _SessionMaker:
    """Makes the sessions of one company and remembers what was said, so that nothing recurs."""

    def __init__(self, company: SampleCompany, seed: int, now: datetime) -> None:
        self._company = company
        self._seed = seed
        self._now = now
        self._said: set[tuple[str, ...]] = set()

    def conversation(self, index: int, language: str, scenario: Scenario) -> SampleSession:
        """The session with this number, in which `scenario` is played."""
        random = Random(f"{self._seed}:{self._company.key}:{index}")
        start = self._start(random)
        messages, questions = self._new_conversation(language, scenario, start, random)
        expected = Expected(
            language,
            scenario.category,
            scenario.sentiment,
            scenario.escalated,
            scenario.forwarded_hr,
            questions,
        )
        return SampleSession(
            id=self._id(index),
            company_id=self._company.id,
            start=start,
            end=max(message.timestamp for message in messages if message.timestamp),
            country=self._company.country,
            ip=_address(random),
            messages=messages,
            model=_pick(random, self._company.models),
            scenario=scenario.id,
            expected=expected,
        )

    def silence(self, index: int) -> SampleSession:
        """A session that has lost its messages, as when LiveDash breaks off while it parses a
        transcript again: its request has to fail, with a reason.
        """
        random = Random(f"{self._seed}:{self._company.key}:{index}")
        start = self._start(random)
        return SampleSession(
            id=self._id(index),
            company_id=self._company.id,
            start=start,
            end=start + timedelta(seconds=40),
            country=self._company.country,
            ip=_address(random),
            messages=(),
            model=_pick(random, self._company.models),
        )

    def _id(self, index: int) -> str:
        return str(uuid5(NAMESPACE, f"{self._seed}:{self._company.key}:{index}"))

    def _start(self, random: Random) -> datetime:
        (hour,) = random.choices(_HOURS, _BUSY)
        midnight = self._now.replace(hour=0, minute=0, second=0, microsecond=0)
        start = midnight - timedelta(days=random.randrange(DAYS))
        start += timedelta(hours=hour, seconds=random.randrange(3600))
        while start > self._now - _SETTLED:
            start -= timedelta(days=1)
        return start

    def _new_conversation(
        self, language: str, scenario: Scenario, start: datetime, random: Random
    ) -> tuple[tuple[SampleMessage, ...], tuple[str, ...]]:
        storyteller = Storyteller(self._company, random)
        while True:
            messages, questions = storyteller.play(phrasebook(language), scenario, start)
            texts = tuple(message.content for message in messages)
            if texts not in self._said:
                self._said.add(texts)
                return messages, questions


def _pick(random: Random, shares: Mapping[_Choice, int]) -> _Choice:
    """One of the keys, by its share."""
    return random.choices(list(shares), list(shares.values()))[0]


def _address(random: Random) -> str:
    """An address of a private network, so that it is nobody's."""
    return str(IPv4Address("10.0.0.0") + random.randrange(1 << 16, 1 << 22))
