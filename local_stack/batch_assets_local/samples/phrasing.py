"""The words of one session: what its scenario's patterns become, and how an employee types them."""

import re
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from random import Random
from typing import Final

from batch_assets_local.samples.scenarios import Phrasebook

CHOICE: Final = re.compile(r"\[(?:(\d):\s)?([^\[\]]*)\]")
SLOT: Final = re.compile(r"\{(\w+)(?::([+-]?\d+))?\}")
_SATURDAY: Final = 5


class Phrasing:
    """Makes the choices of one session: the same slot and the same numbered choice throughout."""

    def __init__(
        self, book: Phrasebook, facts: Mapping[str, str], today: date, random: Random
    ) -> None:
        self._book = book
        self._facts = facts
        self._today = today
        self._random = random
        self._numbered: dict[str, float] = {}
        self._values: dict[str, str] = {}
        self._computed: dict[str, Callable[[int], str]] = {
            "day": self._day,
            "weekday": self._weekday,
            "month": self._month,
            "digits": self._digits,
        }

    def render(self, pattern: str) -> str:
        """The sentence that this session has for `pattern`."""
        return SLOT.sub(self._fill, CHOICE.sub(self._choose, pattern)).strip()

    def _choose(self, match: re.Match[str]) -> str:
        options = match[2].split("|")
        draw = self._random.random()
        if match[1]:
            draw = self._numbered.setdefault(match[1], draw)
        return options[int(draw * len(options))]

    def _fill(self, match: re.Match[str]) -> str:
        whole = match[0]
        if whole not in self._values:
            name, number = match[1], match[2]
            self._values[whole] = self._computed[name](int(number)) if number else self._pick(name)
        return self._values[whole]

    def _pick(self, name: str) -> str:
        return self._facts.get(name) or self._random.choice(self._book.slots[name])

    def _working_day(self, offset: int) -> date:
        day = self._today + timedelta(days=offset)
        while day.weekday() >= _SATURDAY:
            day += timedelta(days=1 if offset > 0 else -1)
        return day

    def _day(self, offset: int) -> str:
        calendar = self._book.calendar
        day = self._working_day(offset)
        style = calendar.get("first", calendar["day"]) if day.day == 1 else calendar["day"]
        return str(style.format(number=day.day, month=calendar["months"][day.month - 1]))

    def _weekday(self, offset: int) -> str:
        return str(self._book.calendar["weekdays"][self._working_day(offset).weekday()])

    def _month(self, offset: int) -> str:
        return str(self._book.calendar["months"][(self._today.month - 1 + offset) % 12])

    def _digits(self, count: int) -> str:
        return str(self._random.randrange(10 ** (count - 1), 10**count))


_HABITS: Final = ("careful", "lowercase", "hasty", "friendly")
_SHARES: Final = (62, 14, 14, 10)
_LONG_WORD: Final = re.compile(r"(?<![\w@./-])[^\W\d_]{6,}(?![\w@./-])")
EMOJI: Final = (" 🙂", " 🙏", " 😊", " 👋")


class TypingHabits:
    """One employee's way of typing, which is the same through a whole session."""

    def __init__(self, random: Random, *, content: bool) -> None:
        self._random = random
        (self._habit,) = random.choices(_HABITS, _SHARES)
        # Nobody puts a smile under a complaint.
        if self._habit == "friendly" and not content:
            self._habit = "careful"
        self._smiled = False

    def type(self, text: str) -> str:
        """`text` as this employee would have sent it."""
        match self._habit:
            case "lowercase":
                return text.lower().removesuffix(".")
            case "hasty":
                return self._slip(text).removesuffix(".")
            case "friendly" if not self._smiled and text.isprintable() and text.isascii():
                self._smiled = True
                return text.removesuffix(".") + self._random.choice(EMOJI)
            case _:
                return text

    def _slip(self, text: str) -> str:
        """Swaps two inner letters of one long word, in one message out of three."""
        words = list(_LONG_WORD.finditer(text))
        if not words or self._random.random() > 1 / 3:
            return text
        word = self._random.choice(words)
        at = self._random.randrange(word.start() + 1, word.end() - 2)
        return text[:at] + text[at + 1] + text[at] + text[at + 2 :]
