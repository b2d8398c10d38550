"""Text that somebody else wrote, made safe to show: it is text there, and nothing else.

Company names, roles, models and processing types are LiveDash's, codes and ids are a server's,
answers are a model's. `docs/text_from_others.md` says which way out uses which function.
"""

import json
import re
import unicodedata
from typing import Final

_JOINERS: Final = "\u200c\u200d"
"""Invisible, but part of Persian and Indic words and of emoji."""
_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Control (ANSI's ESC among them), format (bidi among them), surrogates, line separators."""
_NOT_ASCII: Final = re.compile("[^ -~]")
_FORMULA_STARTS: Final = ("=", "+", "-", "@")


def escaped(text: str) -> str:
    r"""The text on one line for a terminal or a log: what is invisible or steers is `\x1b`.

    Hand it to rich inside a `Text`, which reads no markup.
    """
    line = " ".join(text.split())
    return line if line.isprintable() else _NOT_ASCII.sub(_visible, line)


def escaped_cell(text: str) -> str:
    """The text on one line for a cell of CSV, in which no spreadsheet sees a formula."""
    shown = escaped(text)
    return f"'{shown}" if shown.startswith(_FORMULA_STARTS) else shown


def escaped_json(document: str) -> str:
    r"""A JSON document of the same meaning, in which what is invisible or steers is `\u202e`.

    JSON itself demands that only for the first 32 characters.
    """
    return "\n".join(
        line if line.isprintable() else _NOT_ASCII.sub(_visible_in_json, line)
        for line in document.split("\n")
    )


def _visible(found: re.Match[str]) -> str:
    character = found.group()
    if _is_hidden(character):
        return character.encode("unicode_escape").decode("ascii")
    return character


def _visible_in_json(found: re.Match[str]) -> str:
    character = found.group()
    return json.dumps(character)[1:-1] if _is_hidden(character) else character


def _is_hidden(character: str) -> bool:
    return unicodedata.category(character) in _HIDDEN and character not in _JOINERS
