"""Records and sentences at the edge of a terminal: what just fits, and what just does not."""

import os
import re
import termios
from collections.abc import Sequence
from io import StringIO

import pytest

from batch_assets.cli.screen import Column, Screen, number

Row = tuple[str, str, int]
COLUMNS: Sequence[Column[Row]] = (
    Column("Company", lambda row: row[0]),
    Column("Why", lambda row: row[1], is_prose=True),
    number("Re-\nquests", lambda row: str(row[2])),
)
NAME = "中文" * 5
REASON = "a reason of some words, forty in length."
WHOLE = 20 + 1 + 40 + 1 + 6
"""The columns of a table in which nothing is broken."""
NARROWEST = 20 + 1 + 28 + 1 + 6
"""The same with the reason in as many as prose may be left with."""


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def shown(file: StringIO) -> list[str]:
    screen = Screen(file)
    screen.show(COLUMNS, [(NAME, REASON, 12)], ["Total", "", "12"])
    said = re.sub(r"\x1b\[[0-9;]*m", "", file.getvalue())
    return [line.rstrip() for line in said.split("\n")]


def test_a_table_that_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(WHOLE))
    table = shown(Terminal())
    assert table[3] == f"{NAME} {REASON}     12"
    assert table[5].split() == ["Total", "12"]


def test_a_column_too_few_breaks_prose_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    for columns in (WHOLE - 1, NARROWEST):
        monkeypatch.setenv("COLUMNS", str(columns))
        first, second = shown(Terminal())[3:5]
        assert first.startswith(f"{NAME} a reason of some words,")
        assert second.strip() in {"length.", "forty in length.", "in length."}


def test_fields_where_no_table_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(NARROWEST - 1))
    record = [f"Company: {NAME}", f"Why: {REASON}", "Requests: 12"]
    assert shown(Terminal()) == [*record, "", "Total", "Requests: 12", "", ""]
    monkeypatch.setenv("COLUMNS", "28")
    assert shown(Terminal())[:3] == ["Company:", NAME, "Why: a reason of some words,"]


def test_a_pipe_has_no_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "10")
    table = shown(StringIO())
    assert table[0].split() == ["Company", "Why", "Requests"]
    assert table[2].rstrip() == f"{NAME} {REASON}       12"


def test_a_column_of_nothing_but_zeros_may_be_left_out() -> None:
    def table(*numbers: str) -> list[str]:
        file = StringIO()
        columns: Sequence[Column[str]] = (
            Column("Name", lambda _: "a"),
            number("Never", lambda value: value),
            number("Seldom", lambda value: value, only_if_any=True),
        )
        Screen(file).show(columns, numbers, ["Total", "1", "1"])
        return file.getvalue().split("\n")[0].split()

    assert table("0", "0") == ["Name", "Never"]
    assert table("0", "1") == ["Name", "Never", "Seldom"]


def test_sentences_are_broken_between_words_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    file = Terminal()
    Screen(file).say("Nothing of 0123456789abcdef0123456789abcdef waits\x1b[2J now.", indent=2)
    assert file.getvalue().split("\n") == [
        "  Nothing of",
        "0123456789abcdef0123456789abcdef",
        r"  waits\x1b[2J now.",
        "",
    ]


def test_a_terminal_shows_the_beginning_and_says_how_much_it_leaves_out() -> None:
    screen, terminal = os.openpty()
    termios.tcsetwinsize(terminal, (10, 60))
    with os.fdopen(terminal, "w", encoding="utf-8") as file:
        shown_there = Screen(file)
        for lines in (9, 10, 30):
            with shown_there.from_the_top("… {lines} more lines."):
                for number_of_it in range(lines):
                    shown_there.say(f"line {number_of_it}")
            file.flush()
            seen = os.read(screen, 10_000).decode().split()
            assert seen[:2] == ["line", "0"]
            if lines == 9:
                assert seen[-1] == "8"
            else:
                # The cursor has the last line.
                assert " ".join(seen).endswith(f"line 7 … {lines - 8} more lines.")
    os.close(screen)


def test_a_pipe_takes_all_of_it() -> None:
    pipe = StringIO()
    screen = Screen(pipe)
    with screen.from_the_top("{lines} more"):
        for number_of_it in range(100):
            screen.say(str(number_of_it))
    assert len(pipe.getvalue().splitlines()) == 100
