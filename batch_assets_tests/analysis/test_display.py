"""Whatever was written is shown as text, in a terminal and by a real Markdown renderer."""

import html
import io
import json
import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.console import Console
from rich.text import Text

from batch_assets.analysis.display import escaped, escaped_cell, escaped_json, escaped_markdown

RENDERER = MarkdownIt("commonmark", {"html": True}).enable("table").enable("strikethrough")
MARKUP = [
    "# heading",
    "- item",
    "1. item",
    "1) item",
    "    code",
    "> quote",
    "***",
    "**bold** _it_ ~~no~~ `code`",
    "[a](http://example.test) ![b](data:x)",
    "[a]: http://example.test",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<!-- comment",
    "&lt;b&gt; &#60;",
    "<https://example.test>",
    "a | b",
    "```\nfence",
    "$$x$$",
    "\\*",
    "a  \nb\\\nc",
    "| a |\n|---|\n| b |",
]
# What GitHub-flavoured renderers look for in plain text, after character references are read.
AUTOLINK = re.compile(r"(https?://|www(?=\.))[-.\w]+|[-.\w+]+@[-\w]+(\.[-\w]+)+", re.IGNORECASE)


def shown(markdown: str) -> str:
    """The text of the one paragraph that `markdown` must be."""
    rendered = RENDERER.render(markdown).removesuffix("\n")
    if not rendered:
        return ""
    assert rendered.startswith("<p>")
    assert rendered.endswith("</p>")
    inner = rendered[3:-4]
    assert "<" not in inner
    return html.unescape(inner).replace("\u2060", "")


@pytest.mark.parametrize("text", MARKUP)
def test_markup_is_shown_not_obeyed(text: str) -> None:
    assert shown(escaped_markdown(text)) == escaped(text)


@settings(max_examples=150)
@given(st.text() | st.text("<>&*_`[](){}#+-.!|~:/\\@=\"' \n1aw", max_size=30))
def test_any_text_is_shown_as_it_is(text: str) -> None:
    assert shown(escaped_markdown(text)) == escaped(text)


def test_a_cell_of_a_table_stays_one_cell() -> None:
    cell = escaped_markdown("a | b\n| c | d |\n")
    rendered = RENDERER.render(f"| x | y |\n|---|---|\n| {cell} | z |\n")
    assert rendered.count("<td>") == 2
    assert "<td>a | b | c | d |</td>" in rendered


@pytest.mark.parametrize(
    "text",
    ["see https://example.test/a", "HTTP://EXAMPLE.test", "www.example.test", "a.b@example.test"],
)
def test_no_renderer_sees_an_address(text: str) -> None:
    assert AUTOLINK.search(text), "the pattern must see it in the text as it was"
    assert not AUTOLINK.search(html.unescape(escaped_markdown(text)))


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
