"""Whatever was written is shown as text: in a terminal, a spreadsheet and a document.

And sentences that several packages say.
"""

import io
import json
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from rich.text import Text

from batch_assets.domain.display import escaped, escaped_cell, escaped_json, of_unknown_types


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("\x1b]8;;http://example.test\x07link", r"\x1b]8;;http://example.test\x07link"),
        ("a\x9b2Jb", r"a\x9b2Jb"),
        ("abc\u202edef\u2066", r"abc\u202edef\u2066"),
        ("over\rwrite\nnext\ttab", "over write next tab"),
        ("hid\u200bden\U000e0041", r"hid\u200bden\U000e0041"),
        ("nul\x00 half\ud800", r"nul\x00 half\ud800"),
        ("می‌خواهم 👩‍💻 naïve 请假", "می‌خواهم 👩‍💻 naïve 请假"),
    ],
)
def test_a_terminal_is_not_steered(text: str, expected: str) -> None:
    assert escaped(text) == expected


@settings(max_examples=150)
@given(st.text() | st.text(st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp"])))
def test_nothing_invisible_is_left(text: str) -> None:
    line = escaped(text)
    line.encode()
    left = {
        unicodedata.category(character) for character in line if character not in "\u200c\u200d"
    }
    assert not left & {"Cc", "Cf", "Cs", "Zl", "Zp"}


def test_rich_shows_it_inside_a_text() -> None:
    output = io.StringIO()
    console = Console(file=output, force_terminal=True, width=80)
    console.print(Text(escaped("[bold red]x[/] \x1b[2J")))
    assert output.getvalue() == "[bold red]x[/] \\x1b[2J\n"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", "\r=", "\n@"])
def test_a_cell_is_no_formula(start: str) -> None:
    assert escaped_cell(f"{start}cmd|calc!A1\x1b[2J") == f"'{start.strip()}cmd|calc!A1\\x1b[2J"
    assert escaped_cell("Zorg = beter") == "Zorg = beter"


@pytest.mark.parametrize(
    "name", ["a\x1b\n", "\x9b31m", "\x7f", "\u202eb", "\u2028", "\U000e0041", "\ud800"]
)
def test_json_steers_no_terminal_and_says_the_same(name: str) -> None:
    document = escaped_json(json.dumps({"Bäcker": name}, ensure_ascii=False, indent=2))
    assert json.loads(document) == {"Bäcker": name}
    assert "Bäcker" in document
    assert document.replace("\n", "").isprintable()


def test_unknown_types_are_named_the_most_frequent_first() -> None:
    assert of_unknown_types({"poem": 1, "horoscope": 2_000}) == (
        "Of an unknown processing type: 2,001 requests (2,000 horoscope, 1 poem), asked everything "
        "as by full_analysis."
    )
    many = {f"type {number}": number for number in range(1, 9)}
    assert "(8 type 8, 7 type 7, 6 type 6, 5 type 5, 4 type 4, and 3 more types)" in (
        of_unknown_types(many)
    )
