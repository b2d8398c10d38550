"""Adding a processing type is a declaration and its place in `TYPES`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from batch_assets.analysis import (
    expected_completion_tokens,
    is_known,
    processing_types,
    read_answer,
    request_body,
    shown_if_unknown,
)
from batch_assets.analysis.fields import SummaryField
from batch_assets.analysis.processing_types import TYPES, Answer, ProcessingType, by_name
from batch_assets.domain.records import Conversation, Findings, Response

DOCS = Path(__file__).parents[2] / "docs" / "processing_types.md"


class Heading(Answer):
    """A model with a field that has a column and one that has none."""

    summary: SummaryField
    colour: str


def example_in_the_docs() -> str:
    return DOCS.read_text().split("```python\n", 1)[1].split("```", 1)[0]


def test_the_types_are_there() -> None:
    assert set(TYPES) >= {
        "full_analysis",
        "session_analysis",
        "sentiment_analysis",
        "categorization",
        "summary",
    }
    assert is_known("summary")
    assert not is_known("poem")


def test_the_types_write_what_livedash_keeps() -> None:
    everything = {
        "language",
        "sentiment",
        "escalated",
        "forwarded_hr",
        "category",
        "questions",
        "summary",
    }
    expected = {
        "full_analysis": everything,
        "session_analysis": everything,
        "sentiment_analysis": {"sentiment"},
        "categorization": {"category"},
        "summary": {"summary"},
    }
    assert {name: set(TYPES[name].writes) for name in expected} == expected


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("summary", None),
        ("horoscope", "horoscope"),
        ("", "(empty)"),
        ("two\nlines \x1b[31m", "two lines \\x1b[31m"),
        ("x" * 100, "x" * 39 + "…"),
    ],
)
def test_the_name_of_an_unknown_type_is_safe_to_show(name: str, shown: str | None) -> None:
    assert shown_if_unknown(name) == shown


def test_the_example_in_the_docs_is_a_type_once_it_is_listed(
    monkeypatch: pytest.MonkeyPatch,
    make_conversation: Callable[..., Conversation],
    make_response: Callable[..., Response],
) -> None:
    others = [one for one in TYPES.values() if one.name != "escalation_check"]
    monkeypatch.setattr(processing_types, "TYPES", by_name(others))
    assert not is_known("escalation_check")
    names = dict(vars(processing_types))
    exec(example_in_the_docs(), names)
    more = by_name((*others, names["ESCALATION_CHECK"]))
    monkeypatch.setattr(processing_types, "TYPES", more)
    assert is_known("escalation_check")
    assert expected_completion_tokens("escalation_check") > 0
    body = request_body(make_conversation("Hi", processing_type="escalation_check"))
    schema = body["response_format"]["json_schema"]["schema"]
    assert set(schema["properties"]) == {"reasoning", "escalated", "forwarded_hr"}
    answer = {"reasoning": "The bot gave up.", "escalated": True, "forwarded_hr": False}
    assert read_answer("escalation_check", make_response(answer)) == Findings(
        escalated=True, forwarded_hr=False
    )


def test_a_name_is_given_once() -> None:
    with pytest.raises(ValueError, match="two processing types are named summary"):
        by_name((*TYPES.values(), TYPES["summary"]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"writes": ("colour",)}, "these are not: colour"),
        ({"writes": ("summary", "sentiment")}, "these are not: sentiment"),
        ({"writes": ()}, "none named"),
        ({"name": "a heading"}, "cannot name a processing type"),
    ],
)
def test_a_wrong_declaration_is_refused(change: dict[str, Any], message: str) -> None:
    right: dict[str, Any] = {
        "name": "heading",
        "answer": Heading,
        "writes": ("summary",),
        "expected_tokens": 9,
    }
    assert ProcessingType(**right).writes == ("summary",)
    with pytest.raises(ValueError, match=message):
        ProcessingType(**(right | change))
