"""Statements and their parts, as they are read from files."""

from pathlib import Path

import pytest

from batch_assets.store.sql import load


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "things.sql"
    path.write_text(
        "-- part: open\n"
        "WHERE t.state = 'open'\n"
        "\n"
        "-- name: count\n"
        "-- What is left to do.\n"
        "SELECT count(*) FROM thing AS t\n"
        "-- here: open\n"
        "\n"
        "-- name: close\n"
        "UPDATE thing AS t SET state = 'closed'\n"
        "-- here: open\n"
        "    AND t.id = :id\n"
    )
    return path


def test_a_part_stands_wherever_it_is_named(file: Path) -> None:
    statements = load(file)
    assert list(statements) == ["count", "close"]
    assert statements["count"].text.endswith("FROM thing AS t\nWHERE t.state = 'open'")
    assert statements["close"].text.endswith("WHERE t.state = 'open'\n    AND t.id = :id")
    assert set(statements["close"].compile().params) == {"id"}


def test_parts_of_another_file_can_be_used(file: Path) -> None:
    other = file.with_name("more.sql")
    other.write_text("-- name: forget\nDELETE FROM thing AS t\n-- here: open\n")
    forget = load(other, parts_of=[file])["forget"]
    assert forget.text == "DELETE FROM thing AS t\nWHERE t.state = 'open'"


def test_a_part_that_is_nowhere_is_an_error(file: Path) -> None:
    other = file.with_name("more.sql")
    other.write_text("-- name: forget\nDELETE FROM thing AS t\n-- here: open\n")
    with pytest.raises(LookupError, match="open"):
        load(other)
