"""Names that somebody has chosen badly, and what must not be left of them where they are shown."""

import unicodedata
from collections.abc import Iterator
from typing import Final

HOSTILE: Final[dict[str, str]] = {
    "a line end": "Oost\nERROR all is lost",
    "a carriage return": "Oost\rWest",
    "a tab and a NEL": "Oost\t\x85West",
    "line separators": "Oost\u2028West\u2029",
    "an erased screen": "Oost\x1b[2J",
    "a hyperlink of a terminal": "\x1b]8;;http://evil.example\x07Oost\x1b]8;;\x07",
    "a C1 sequence": "Oost\x9b2J",
    "backspaces": "Oost\x08\x08\x7f",
    "right to left": "Oost\u202etsaO\u2066",
    "nothing to be seen": "O\u200bo\u2060s\ufefft\u00ad",
    "a tag": "Oost\U000e0041",
    "a formula": '=HYPERLINK("http://evil.example")',
    "a command": "@SUM(1)*cmd|' /C calc'!A1",
    "a script": "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "bold and struck out": "**Oost** *West* __Noord__ _Zuid_ ~~no~~ ||hidden||",
    "a link": "[Oost](javascript:alert(1)) ![x](http://evil.example) https://evil.example",
    "code": "`Oost` ```West```",
    "a formula to typeset": "$x$ $\\frac{1}{0}$",
    "markup of rich": "[red]Oost[/red][link=http://evil.example]",
    "everybody": "@channel <!channel> @everyone <@U123>",
    "an underscore": "_Oost",
    "marks of formats": "%s %d {0} {name} %(x)s",
}
"""By what is wrong with each."""

MARK: Final = "Kwaadhuis"
"""A word of the name below by which it is found."""
ALL_AT_ONCE: Final = (
    "=HYPERLINK(1)\nERROR\r\u2028\x1b[2J\x1b]8;;http://evil.example\x07\x9b2J\u202e\u200b"
    "<script>a()</script>**b** _i_ ~~s~~ [l](javascript:a) www.evil.example `c` $x$ [red]r[/red] "
    f"@channel <!channel> %s {{0}} {MARK}"
)
"""Of all kinds, in no more characters than LiveDash's columns have."""

_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def hidden_in(text: str, allowed: str = "") -> list[str]:
    """The characters that steer a terminal or cannot be seen, each once."""
    return sorted(
        {one for one in text if unicodedata.category(one) in _HIDDEN and one not in allowed}
    )


def texts_in(document: object) -> Iterator[str]:
    """Every text of a JSON document, keys too."""
    if isinstance(document, str):
        yield document
    elif isinstance(document, dict):
        for key, value in document.items():
            yield str(key)
            yield from texts_in(value)
    elif isinstance(document, list):
        for value in document:
            yield from texts_in(value)
