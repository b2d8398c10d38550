"""The shared fields hold LiveDash's values, and are liberal only where there is no doubt."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from batch_assets.analysis.fields import (
    Category,
    CategoryField,
    EscalatedField,
    LanguageField,
    QuestionsField,
    Sentiment,
    SentimentField,
    SummaryField,
    cleaned,
    shortened,
)

LIVEDASH_CATEGORIES = [
    "SCHEDULE_HOURS",
    "LEAVE_VACATION",
    "SICK_LEAVE_RECOVERY",
    "SALARY_COMPENSATION",
    "CONTRACT_HOURS",
    "ONBOARDING",
    "OFFBOARDING",
    "WORKWEAR_STAFF_PASS",
    "TEAM_CONTACTS",
    "PERSONAL_QUESTIONS",
    "ACCESS_LOGIN",
    "SOCIAL_QUESTIONS",
    "UNRECOGNIZED_OTHER",
]


def valid(field: Any, value: Any) -> Any:
    return TypeAdapter(field).validate_python(value)


def error_type(field: Any, value: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        valid(field, value)
    return caught.value.errors()[0]["type"]


def test_the_enums_are_livedashs() -> None:
    assert [*Category] == LIVEDASH_CATEGORIES
    assert [*Sentiment] == ["POSITIVE", "NEUTRAL", "NEGATIVE"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("en", "en"),
        (" EN\n", "en"),
        ("en-US", "en"),
        ("zh_Hant_TW", "zh"),
        ("pt\x00-br", "pt"),
    ],
)
def test_languages_that_are_clear(given: str, expected: str) -> None:
    assert valid(LanguageField, given) == expected


@pytest.mark.parametrize(
    "given", ["English", "eng", "e", "", "e1", "en, de", "en-", "\u0440\u0443"]
)
def test_languages_that_are_not(given: str) -> None:
    assert error_type(LanguageField, given) == "string_pattern_mismatch"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("leave_vacation", "LEAVE_VACATION"),
        ("Leave & Vacation", "LEAVE_VACATION"),
        (" Unrecognized / Other ", "UNRECOGNIZED_OTHER"),
        ("Workwear, staff-pass", "WORKWEAR_STAFF_PASS"),
    ],
)
def test_categories_in_livedashs_spellings(given: str, expected: str) -> None:
    assert valid(CategoryField, given) == expected


@pytest.mark.parametrize("given", ["VACATION", "LEAVE", "", "SICK_LEAVE", 3, None, ["ONBOARDING"]])
def test_other_categories_are_refused(given: Any) -> None:
    assert error_type(CategoryField, given) == "enum"


def test_sentiment_and_booleans() -> None:
    assert valid(SentimentField, " positive ") == "POSITIVE"
    assert error_type(SentimentField, "MIXED") == "enum"
    assert valid(EscalatedField, "true") is True
    assert error_type(EscalatedField, "perhaps") == "bool_parsing"
    assert error_type(EscalatedField, None) == "bool_type"


def test_questions_are_distinct_in_their_order_and_at_most_five() -> None:
    given = [" What? ", "", "Why?", "what?", " \x00 ", "...", "Who?", "How?", "Where?", "When?"]
    assert valid(QuestionsField, given) == ["What?", "Why?", "Who?", "How?", "Where?"]
    assert valid(QuestionsField, []) == []


def test_a_long_question_fits_livedashs_unique_index() -> None:
    (question,) = valid(QuestionsField, ["𐍈" * 3_000])
    assert len(question) == 500
    assert len(question.encode()) < 2_700


@pytest.mark.parametrize("given", ["Why?", None, {"0": "Why?"}])
def test_questions_are_a_list(given: Any) -> None:
    assert error_type(QuestionsField, given) == "list_type"


def test_the_summary_has_10_to_300_characters() -> None:
    assert error_type(SummaryField, "  Too short.  "[:11]) == "string_too_short"
    assert valid(SummaryField, "x" * 10) == "x" * 10
    assert valid(SummaryField, "word " * 60) == ("word " * 60).strip()
    long = valid(SummaryField, "word " * 100)
    assert long.endswith("word…")
    assert 290 < len(long) <= 300


def test_texts_are_cleaned_for_postgresql_and_utf_8() -> None:
    assert cleaned(" a\x00b\x1b[31m \r\n c\ud83d d\u2028e ") == "ab[31m c\ufffd d e"
    assert cleaned("\ud83d\ude00") == "😀", "a whole pair is one character"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one two", "one two"),
        ("one two three", "one two…"),
        ("onetwothree", "onetwoth…"),
        ("a onetwothree", "a onetwo…"),
        ("one twos three", "one twos…"),
    ],
)
def test_shortened(text: str, expected: str) -> None:
    assert shortened(text, 9) == expected
