"""`docs/situations.md` promises nothing that no test shows: each test that it names exists."""

import re
from pathlib import Path

TESTS = Path(__file__).parent
DOCUMENT = (TESTS.parent / "docs" / "situations.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in DOCUMENT.splitlines()
    if line.startswith("|") and not re.match(r"\|\s*(Situation|-+)\s*\|", line)
]
NAMED = re.compile(r"`([\w/]+\.py)::(test_\w+)`")


def test_every_situation_has_an_outcome_and_a_test_that_shows_it() -> None:
    assert len(ROWS) >= 30
    for row in ROWS:
        situation, outcome, shown_by = row
        assert situation, row
        assert outcome, row
        assert NAMED.search(shown_by), situation
        assert NAMED.sub("", shown_by).strip(" ,") == "", situation


def test_the_tests_that_are_named_exist() -> None:
    named = {(file, test) for row in ROWS for file, test in NAMED.findall(row[2])}
    missing = [
        f"{file}::{test}"
        for file, test in sorted(named)
        if not (TESTS / file).is_file()
        or re.search(rf"^def {test}\(", (TESTS / file).read_text("utf-8"), re.MULTILINE) is None
    ]
    assert missing == []
