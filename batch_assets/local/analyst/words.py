"""Text as a list of plain words: lower case, without accents, punctuation left out."""

import re
import unicodedata
from typing import Final

_WORD: Final = re.compile(r"[^\W_]+|[\u2764\U0001F300-\U0001FAFF]")
# Letters that Unicode does not take apart into a base and an accent.
_LETTERS: Final = str.maketrans({"ł": "l", "ø": "o", "æ": "ae", "œ": "oe", "\u0131": "i"})


def words_of(text: str) -> list[str]:
    """The words of `text`, folded as the word lists are; an emoji is a word of its own."""
    folded = text.casefold()
    if not folded.isascii():
        apart = unicodedata.normalize("NFKD", folded.translate(_LETTERS))
        folded = "".join(c for c in apart if not unicodedata.combining(c))
    return _WORD.findall(folded)
