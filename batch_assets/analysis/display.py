"""What a model or an employee wrote, made safe to show: it is text there, and nothing else."""

import json
import re
import string
import unicodedata

_JOINERS = "\u200c\u200d"
"""Invisible, but part of Persian and Indic words and of emoji."""
_WORD_JOINER = "\u2060"
_FORMULA_STARTS = ("=", "+", "-", "@")
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Control (ANSI's ESC among them), format (bidi among them), surrogates, line separators."""
_LINK_START = re.compile(r"(?:(?<=://)|(?<=@)|(?<=www)(?=\.))", re.IGNORECASE)
_ENTITIES = {ord(mark): f"&#{ord(mark)};" for mark in string.punctuation}


def escaped(text: str) -> str:
    r"""The text on one line for a terminal: what is invisible or steers is shown as `\x1b`.

    Hand it to rich inside a `Text`, which reads no markup.
    """
    return "".join(map(_visible, " ".join(text.split())))


def escaped_markdown(text: str) -> str:
    """The text on one line for Markdown that allows HTML, also in a cell of a table.

    All punctuation becomes character references, which are never markup, and addresses are not
    turned into links (an invisible U+2060 keeps a renderer from seeing one).
    """
    unlinked = _LINK_START.sub(_WORD_JOINER, escaped(text))
    return unlinked.translate(_ENTITIES)


def escaped_cell(text: str) -> str:
    """The text on one line for a cell of CSV, in which no spreadsheet sees a formula."""
    shown = escaped(text)
    return f"'{shown}" if shown.startswith(_FORMULA_STARTS) else shown


def escaped_json(document: str) -> str:
    r"""A JSON document of the same meaning, in which what is invisible or steers is `\u202e`.

    JSON itself demands that only for the first 32 characters.
    """
    return "".join(
        json.dumps(character)[1:-1] if character != "\n" and _is_hidden(character) else character
        for character in document
    )


def _visible(character: str) -> str:
    if _is_hidden(character):
        return character.encode("unicode_escape").decode("ascii")
    return character


def _is_hidden(character: str) -> bool:
    return unicodedata.category(character) in _HIDDEN and character not in _JOINERS
