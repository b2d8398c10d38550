"""Answers become findings, or failures whose reasons hold nothing of the answer."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batch_assets.analysis import read_answer, read_partial_answer
from batch_assets.analysis.processing_types import TYPES
from batch_assets.domain.errors import Failure, FailureKind
from batch_assets.domain.records import Findings, Response

CANARY = "canary-7f3a"
TRANSIENT, PERMANENT = FailureKind.TRANSIENT, FailureKind.PERMANENT

Respond = Callable[..., Response]
Answer = dict[str, Any]


def failure(result: Findings | Failure) -> Failure:
    assert isinstance(result, Failure)
    return result


def test_a_full_answer(make_response: Respond, full_answer: Answer) -> None:
    assert read_answer("full_analysis", make_response(full_answer)) == Findings(
        language="nl",
        sentiment="NEGATIVE",
        category="SALARY_COMPENSATION",
        escalated=True,
        forwarded_hr=False,
        summary="The employee misses a payslip and was passed on to a colleague.",
        questions=("When is my salary paid?", "Who can correct my payslip?"),
    )


def test_an_answer_to_what_the_last_version_asked(
    make_response: Respond, full_answer: Answer
) -> None:
    """`session_analysis` asked for four fields: what was bought then is still read."""
    former = {name: full_answer[name] for name in ("sentiment", "category", "summary", "language")}
    findings = read_answer("session_analysis", make_response(former))
    assert isinstance(findings, Findings)
    assert (findings.language, findings.sentiment) == ("nl", "NEGATIVE")
    assert (findings.escalated, findings.questions) == (None, None)
    assert isinstance(read_answer("full_analysis", make_response(former)), Failure)
    del former["summary"]
    assert isinstance(read_answer("session_analysis", make_response(former)), Failure)


@pytest.mark.parametrize(
    "name",
    ["full_analysis", "session_analysis", "sentiment_analysis", "categorization", "summary"],
)
def test_each_type_takes_its_own_fields_and_no_others(
    name: str, make_response: Respond, full_answer: Answer
) -> None:
    findings = read_answer(name, make_response(full_answer | {"mood": "unasked"}))
    assert isinstance(findings, Findings)
    written = {key for key in full_answer if getattr(findings, key) is not None}
    assert written == set(TYPES[name].writes)
    assert all(type(getattr(findings, key)) in {str, bool, tuple} for key in written), (
        "a driver would write an enum's name, not its value"
    )


@pytest.mark.parametrize(
    "wrapping", ["```json\n{}\n```", "```\n{}\n```", " \n{}\n ", "```JSON {}```", "\ufeff{}"]
)
def test_wrapped_answers(wrapping: str, make_response: Respond, full_answer: Answer) -> None:
    response = make_response(wrapping.replace("{}", json.dumps(full_answer)))
    assert isinstance(read_answer("full_analysis", response), Findings)


@pytest.mark.parametrize(
    "wrapping",
    [
        "{}{}",
        "{}\n\n{}",
        "```json\n{}\n```\n```json\n{}\n```",
        "Here is the analysis:\n{}\nLet me know {name} if I can help.",
        "Here it is:\n\n```json\n{}\n```",
        '<think>\nThe user asks {"sentiment": "POSITIVE"} about pay.\n</think>\n{}',
        'The schema is {"sentiment": ... so:</think>```json\n{}```',
        "<think></think>{}",
    ],
)
@pytest.mark.parametrize("read", [read_answer, read_partial_answer])
def test_the_one_object_in_an_answer_is_the_answer(
    read: Callable[[str, Response], Findings | Failure],
    wrapping: str,
    make_response: Respond,
    full_answer: Answer,
) -> None:
    response = make_response(wrapping.replace("{}", json.dumps(full_answer)))
    assert read("full_analysis", response) == read("full_analysis", make_response(full_answer))


@pytest.mark.parametrize(
    "wrapping",
    [
        '{} {"sentiment": "POSITIVE"}',
        '{"sentiment": "POSITIVE", "more": {}',
        '{}{"langu',
        "<think>{}</think> I cannot say.",
        "{ } or {}",
    ],
)
@pytest.mark.parametrize("read", [read_answer, read_partial_answer])
def test_of_two_objects_none_is_the_answer(
    read: Callable[[str, Response], Findings | Failure],
    wrapping: str,
    make_response: Respond,
    full_answer: Answer,
) -> None:
    response = make_response(wrapping.replace("{}", json.dumps(full_answer)))
    assert failure(read("full_analysis", response)).code == "invalid_json"


def test_an_answer_that_was_cut_is_not_searched(
    make_response: Respond, full_answer: Answer
) -> None:
    twice = f"Once {json.dumps(full_answer)} and again"
    response = make_response(content=twice, finish_reason="length")
    assert failure(read_answer("full_analysis", response)).code == "truncated_answer"


@pytest.mark.parametrize(
    ("fields", "kind", "code"),
    [
        ({"content": None}, TRANSIENT, "empty_answer"),
        ({"content": " \n"}, TRANSIENT, "empty_answer"),
        ({"content": "```json```"}, TRANSIENT, "empty_answer"),
        ({"content": "Sorry, no."}, TRANSIENT, "invalid_json"),
        ({"content": '{"sentiment": "POSITIVE"'}, TRANSIENT, "invalid_json"),
        ({"content": "[" * 200_000}, TRANSIENT, "invalid_json"),
        ({"content": "9" * 10_000}, TRANSIENT, "invalid_json"),
        ({"content": "[]"}, TRANSIENT, "invalid_answer"),
        ({"content": "{}"}, TRANSIENT, "invalid_answer"),
        ({"content": '{"sentim', "finish_reason": "length"}, TRANSIENT, "truncated_answer"),
        ({"content": None, "finish_reason": "length"}, TRANSIENT, "truncated_answer"),
        ({"content": "", "finish_reason": "content_filter"}, PERMANENT, "refusal"),
        ({"content": None, "refused": True}, PERMANENT, "refusal"),
    ],
)
@pytest.mark.parametrize("read", [read_answer, read_partial_answer])
def test_kinds_and_codes_of_failures(
    read: Callable[[str, Response], Findings | Failure],
    fields: Answer,
    kind: FailureKind,
    code: str,
    make_response: Respond,
) -> None:
    result = failure(read("full_analysis", make_response(**fields)))
    assert (result.kind, result.code) == (kind, code)
    assert result.reason


def test_an_answer_to_an_unknown_type_is_read_like_the_whole_analysis(
    make_response: Respond, full_answer: Answer
) -> None:
    response = make_response(full_answer)
    assert read_answer("poem", response) == read_answer("full_analysis", response)
    assert failure(read_answer("poem", make_response({}))).code == "invalid_answer"


def test_a_whole_answer_at_the_length_limit_is_taken(
    make_response: Respond, full_answer: Answer
) -> None:
    response = make_response(full_answer, finish_reason="length")
    assert isinstance(read_answer("full_analysis", response), Findings)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"category": CANARY}, "category: not one of the allowed values (enum)"),
        ({"language": CANARY}, "language: not in the expected form (string_pattern_mismatch)"),
        ({"escalated": CANARY}, "escalated: not true or false (bool_parsing)"),
        ({"forwarded_hr": {CANARY: 1}}, "forwarded_hr: not true or false (bool_type)"),
        ({"questions": CANARY}, "questions: not a list (list_type)"),
        ({"questions": ["Why?", {CANARY: CANARY}]}, "questions[1]: not text (string_type)"),
        ({"summary": "canary"}, "summary: too short (string_too_short)"),
        ({"summary": [CANARY]}, "summary: not text (string_type)"),
    ],
)
def test_a_reason_names_the_field_and_the_error_only(
    change: Answer, expected: str, make_response: Respond, full_answer: Answer
) -> None:
    answer = full_answer | change | {CANARY: CANARY}
    result = failure(read_answer("full_analysis", make_response(answer)))
    assert result.reason == expected


def test_a_missing_field_and_many_problems(make_response: Respond, full_answer: Answer) -> None:
    del full_answer["category"]
    result = failure(read_answer("full_analysis", make_response(full_answer)))
    assert result.reason == "category: missing (missing)"
    result = failure(read_answer("full_analysis", make_response({CANARY: CANARY})))
    assert result.reason.count("(missing)") == 5
    assert result.reason.endswith("; and 2 more")
    assert CANARY not in result.reason


def test_what_the_database_refuses_is_gone(make_response: Respond, full_answer: Answer) -> None:
    full_answer["summary"] = "A \x00 summary with half a pair: \ud83d."
    full_answer["questions"] = ["Why\x00?\udc00"]
    findings = read_answer("full_analysis", make_response(full_answer))
    assert isinstance(findings, Findings)
    assert findings.summary == "A summary with half a pair: \ufffd."
    assert findings.questions == ("Why?\ufffd",)


def test_a_partial_answer_gives_what_is_valid(make_response: Respond, full_answer: Answer) -> None:
    answer = full_answer | {"category": "Holidays", "sentiment": "positive", "questions": None}
    del answer["language"]
    assert read_partial_answer("session_analysis", make_response(answer)) == Findings(
        sentiment="POSITIVE",
        escalated=True,
        forwarded_hr=False,
        summary=full_answer["summary"],
    )


@pytest.mark.parametrize("name", [*TYPES, "a type of LiveDash's own"])
def test_a_partial_answer_may_belong_to_any_type(name: str, make_response: Respond) -> None:
    found = read_partial_answer(name, make_response({"sentiment": "NEUTRAL"}))
    assert found == Findings(sentiment="NEUTRAL")


def test_a_partial_answer_needs_one_field(make_response: Respond) -> None:
    answer = {"category": CANARY, CANARY: CANARY, "summary": "short"}
    result = failure(read_partial_answer("summary", make_response(answer)))
    assert (result.kind, result.code) == (TRANSIENT, "invalid_answer")
    assert result.reason == (
        "summary: too short (string_too_short); category: not one of the allowed values (enum)"
    )
    result = failure(read_partial_answer("summary", make_response({CANARY: CANARY})))
    assert result.reason == "answer: no known field (missing)"


FIELDS = [*TYPES["full_analysis"].writes]
CODES = {"invalid_json", "invalid_answer", "truncated_answer", "refusal", "empty_answer"}
TEXTS = st.text() | st.text(st.characters(min_codepoint=0xD7F0, max_codepoint=0xE010))
TEXTS = TEXTS | TEXTS.map(lambda text: CANARY + text) | st.sampled_from(["en", "NEUTRAL", "true"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=10,
)
ANSWERS = st.dictionaries(st.sampled_from(FIELDS) | TEXTS, VALUES, max_size=10) | VALUES
CONTENTS = TEXTS | ANSWERS.map(json.dumps) | ANSWERS.map(lambda a: f"```json\n{json.dumps(a)}```")


@settings(
    max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    name=st.sampled_from(list(TYPES)),
    content=CONTENTS,
    finish_reason=st.sampled_from(["stop", "length", "content_filter", None]),
)
def test_reading_never_raises_and_never_leaks(
    make_response: Respond, name: str, content: str, finish_reason: str | None
) -> None:
    response = make_response(content, finish_reason=finish_reason)
    for result in (read_answer(name, response), read_partial_answer(name, response)):
        if isinstance(result, Failure):
            assert result.code in CODES
            assert CANARY not in result.reason
            assert result.reason.isascii()
            assert len(result.reason) < 500
        else:
            assert_storable(result)


def assert_storable(findings: Findings) -> None:
    assert findings.summary is None or 10 <= len(findings.summary) <= 300
    questions = findings.questions or ()
    assert len(questions) <= 5
    assert len(set(questions)) == len(questions)
    for text in (findings.summary or "", findings.language or "", *questions):
        assert "\x00" not in text
        assert len(text.encode()) < 2_700
