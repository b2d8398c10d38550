"""How people type into a chat window: most of them well, some in a hurry, some with emoji."""

import re
from random import Random
from typing import Final

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
