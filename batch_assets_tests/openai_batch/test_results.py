"""Output and error files in every shape that was seen, and in every shape that was not."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_assets.domain.errors import Failure, FailureKind
from batch_assets.domain.money import Usage
from batch_assets.domain.records import ResultLine
from batch_assets.openai_batch.results import BrokenLine, read_results

CANARY = "Kanarie 7f3a"
USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 20,
    "total_tokens": 120,
    "prompt_tokens_details": {"cached_tokens": 64, "audio_tokens": 0},
    "completion_tokens_details": {
        "reasoning_tokens": 8,
        "audio_tokens": 1,
        "accepted_prediction_tokens": 2,
        "rejected_prediction_tokens": 3,
    },
}


def body(content: object = "{}", finish: str = "stop", **more: object) -> dict[str, Any]:
    message = {"role": "assistant", "content": content, "refusal": None}
    return {
        "id": "chatcmpl-1",
        "model": "gpt-4o-mini-2024-07-18",
        "service_tier": "default",
        "system_fingerprint": "fp_1",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": USAGE,
        **more,
    }


def line(response: object = None, error: object = None, custom_id: object = "r1") -> bytes:
    row = {"id": "batch_req_1", "custom_id": custom_id, "response": response, "error": error}
    return json.dumps(row).encode()


def answered(content: object = "{}", status: object = 200, **more: Any) -> bytes:
    return line({"status_code": status, "request_id": "req_1", "body": body(content, **more)})


def refused(status: int, error: object, **more: object) -> bytes:
    return line({"status_code": status, "request_id": "req_1", "body": {"error": error}, **more})


def read_one(raw: bytes, *, error_file: bool = False) -> ResultLine:
    (found,) = read_results([raw], error_file=error_file)
    assert isinstance(found, ResultLine)
    return found


def failure_of(raw: bytes, *, error_file: bool = True) -> Failure:
    found = read_one(raw, error_file=error_file)
    assert found.failure is not None
    return found.failure


@pytest.mark.parametrize("error_file", [False, True])
def test_an_answer(error_file: bool) -> None:
    found = read_one(answered('{"language": "nl"}'), error_file=error_file)
    assert (found.request_id, found.failure, found.answered) == ("r1", None, True)
    response = found.response
    assert response is not None
    assert response.request_id == "chatcmpl-1"
    assert response.model == "gpt-4o-mini-2024-07-18"
    assert (response.service_tier, response.system_fingerprint) == ("default", "fp_1")
    assert (response.content, response.finish_reason) == ('{"language": "nl"}', "stop")
    assert response.usage == Usage(100, 20, 120, 64, 0, 8, 1, 2, 3)


def test_a_body_that_is_a_string() -> None:
    raw = line({"status_code": 200, "body": json.dumps(body("yes"))})
    response = read_one(raw).response
    assert response is not None
    assert (response.content, response.usage.prompt_tokens) == ("yes", 100)


def test_a_failed_body_that_is_a_string() -> None:
    raw = line({"status_code": 400, "body": json.dumps({"error": {"code": "invalid_value"}})})
    assert failure_of(raw).code == "invalid_value"


def test_a_status_that_is_a_string() -> None:
    assert read_one(answered("yes", "200")).failure is None
    assert failure_of(line({"status_code": "429", "body": {}})).kind is FailureKind.CAPACITY


@pytest.mark.parametrize("empty", [None, {}, "", {"code": None, "message": None}])
def test_an_error_that_says_nothing_is_none(empty: object) -> None:
    raw = line({"status_code": 200, "body": body("yes")}, empty)
    assert read_one(raw).failure is None


def test_without_a_status_the_file_decides() -> None:
    raw = line({"body": body("yes")})
    assert read_one(raw, error_file=False).failure is None
    assert read_one(raw, error_file=True).failure is not None
    assert read_one(line({"body": {"error": {"code": "x"}}})).failure is not None


def test_a_paid_refusal_is_both() -> None:
    raw = answered(None, choices=[{"message": {"refusal": CANARY, "content": None}}])
    found = read_one(raw)
    assert found.response is not None
    assert found.response.refused
    assert found.response.usage.total_tokens == 120
    assert found.failure == Failure(
        FailureKind.PERMANENT, "refused", "The model refused to answer."
    )


@pytest.mark.parametrize(
    ("raw", "kind", "code"),
    [
        (answered(None), FailureKind.TRANSIENT, "empty_answer"),
        (answered("  "), FailureKind.TRANSIENT, "empty_answer"),
        (answered("", finish="length"), FailureKind.TRANSIENT, "empty_answer"),
        (answered("x", finish="content_filter"), FailureKind.PERMANENT, "content_filter"),
        (answered(choices=[]), FailureKind.TRANSIENT, "empty_answer"),
        (answered(choices=None), FailureKind.TRANSIENT, "empty_answer"),
        (answered(choices=[None]), FailureKind.TRANSIENT, "empty_answer"),
        (answered(error={"code": "server_error"}), FailureKind.TRANSIENT, "server_error"),
    ],
)
def test_a_paid_answer_of_no_use_keeps_what_it_cost(
    raw: bytes, kind: FailureKind, code: str
) -> None:
    found = read_one(raw)
    assert found.response is not None
    assert found.response.usage.prompt_tokens == 100
    assert found.failure is not None
    assert (found.failure.kind, found.failure.code) == (kind, code)


@pytest.mark.parametrize(
    ("parts", "content"),
    [
        ([{"type": "text", "text": '{"a":'}, {"type": "text", "text": " 1}"}], '{"a": 1}'),
        ([{"type": "thinking", "text": "hm"}, {"type": "output_text", "text": "{}"}], "{}"),
        ([{"text": "{}"}, None, 7, {"type": ["text"]}, {"type": "text", "text": 7}], "{}"),
    ],
)
def test_an_answer_in_parts(parts: list[object], content: str) -> None:
    found = read_one(answered(parts))
    assert found.failure is None
    assert found.response is not None
    assert found.response.content == content


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ([], "empty_answer"),
        ([{"type": "text", "text": " "}], "empty_answer"),
        ([{"type": "refusal", "refusal": "no"}], "refused"),
    ],
)
def test_parts_that_are_no_answer(parts: list[object], code: str) -> None:
    assert failure_of(answered(parts)).code == code


def test_an_answer_that_was_cut_is_left_to_who_reads_it() -> None:
    found = read_one(answered('{"langu', finish="length"))
    assert found.failure is None
    assert found.response is not None
    assert found.response.finish_reason == "length"


@pytest.mark.parametrize("missing", [None, "", "not json", 7, []])
def test_an_answer_without_a_body(missing: object) -> None:
    found = read_one(line({"status_code": 200, "body": missing}))
    assert found.response is None
    assert found.failure is not None
    assert (found.failure.kind, found.failure.code) == (FailureKind.TRANSIENT, "no_body")


@pytest.mark.parametrize(
    ("status", "error", "kind", "code"),
    [
        (400, {"type": "invalid_request_error"}, "permanent", "invalid_request_error"),
        (400, {"code": "context_length_exceeded"}, "permanent", "context_length_exceeded"),
        (400, {"code": "token_limit_exceeded"}, "capacity", "token_limit_exceeded"),
        (400, {"code": "billing_hard_limit_reached"}, "account", "billing_hard_limit_reached"),
        (401, {"code": None}, "account", "http_401"),
        (403, {"code": "model_not_allowed"}, "permanent", "model_not_allowed"),
        (404, {"code": "model_not_found"}, "permanent", "model_not_found"),
        (408, {"code": "request_timeout"}, "transient", "request_timeout"),
        (418, {}, "permanent", "http_418"),
        (429, {"code": "rate_limit_exceeded"}, "capacity", "rate_limit_exceeded"),
        (429, {"type": "tokens"}, "capacity", "tokens"),
        (429, {"type": "insufficient_quota"}, "account", "insufficient_quota"),
        (429, None, "capacity", "http_429"),
        (500, {"type": "server_error"}, "transient", "server_error"),
        (500, {"type": "invalid_request_error"}, "transient", "invalid_request_error"),
        (503, "overloaded", "transient", "http_503"),
        (0, None, "transient", "unknown_error"),
        (0, {"type": "invalid_request_error"}, "transient", "invalid_request_error"),
        (302, None, "transient", "http_302"),
    ],
)
@pytest.mark.parametrize("error_file", [False, True])
def test_an_http_failure(
    status: int, error: object, kind: str, code: str, error_file: bool
) -> None:
    failure = failure_of(refused(status, error), error_file=error_file)
    assert (failure.kind, failure.code) == (kind, code)
    assert read_one(refused(status, error)).response is None


def test_errors_in_odd_places() -> None:
    flat = line({"status_code": 400, "body": {"code": "invalid_value", "message": "x"}})
    assert failure_of(flat).code == "invalid_value"
    beside = line({"status_code": 400, "body": None}, {"code": "invalid_value"})
    assert failure_of(beside).code == "invalid_value"


@pytest.mark.parametrize("code", ["batch_expired", "batch_cancelled"])
def test_a_row_that_never_ran(code: str) -> None:
    for raw in (line(None, {"code": code, "message": CANARY}), refused(0, {"code": code})):
        found = read_one(raw, error_file=True)
        assert not found.answered
        assert found.response is None
        assert found.failure is not None
        assert found.failure.code == code


def test_a_row_that_timed_out_was_tried() -> None:
    found = read_one(line(None, {"code": "request_timeout", "message": "x"}), error_file=True)
    assert found.answered
    assert found.failure is not None
    assert found.failure.kind is FailureKind.TRANSIENT


@pytest.mark.parametrize("raw", [b'{"custom_id": "r1"}', line(), line("x", "")])
def test_a_row_of_nothing(raw: bytes) -> None:
    failure = failure_of(raw)
    assert (failure.kind, failure.code) == (FailureKind.TRANSIENT, "no_response")


def test_an_error_row_without_response_or_status() -> None:
    known = line(None, {"code": "invalid_request_error", "message": "x"})
    assert failure_of(known).kind is FailureKind.PERMANENT
    failure = failure_of(b'{"custom_id": "r1", "error": {"code": "strange_new", "message": "x"}}')
    assert (failure.kind, failure.code) == (FailureKind.TRANSIENT, "strange_new")


def test_a_reason_holds_names_and_numbers_only() -> None:
    error = {
        "code": "invalid_value",
        "message": f"{CANARY} sk-abc",
        "param": "messages[1].content",
        "type": "invalid_request_error",
    }
    assert failure_of(refused(400, error)).reason == (
        "The server refused this request "
        "(HTTP 400, code invalid_value, parameter messages[1].content)."
    )
    secret = {"code": "sk-abc", "param": "sk-abc", "type": CANARY, "message": "x"}
    assert failure_of(refused(400, secret)).reason == "The server refused this request (HTTP 400)."


@pytest.mark.parametrize(
    "odd",
    ["12", None, True, -1, -0.5, 1.5, [], {}, 10**30, 2**31, float("nan"), float("inf"), 1e300],
)
def test_a_count_that_is_none_is_zero(odd: object) -> None:
    usage = dict.fromkeys(USAGE, odd) | {
        "prompt_tokens_details": {"cached_tokens": odd},
        "completion_tokens_details": odd,
    }
    response = read_one(answered("x", usage=usage)).response
    assert response is not None
    assert response.usage == Usage()


@pytest.mark.parametrize("usage", [None, {}, [], "x", 7])
def test_usage_that_is_missing(usage: object) -> None:
    response = read_one(answered("x", usage=usage)).response
    assert response is not None
    assert response.usage == Usage()


def test_a_total_that_is_missing_is_the_sum() -> None:
    usage = {"prompt_tokens": 5.0, "completion_tokens": 2}
    response = read_one(answered("x", usage=usage)).response
    assert response is not None
    assert response.usage == Usage(5, 2, 7)


def test_numbers_of_thousands_of_digits() -> None:
    digits = b"9" * 10_000
    raw = answered("x").replace(b'"prompt_tokens": 100', b'"prompt_tokens": ' + digits)
    response = read_one(raw).response
    assert response is not None
    assert (response.usage.prompt_tokens, response.usage.completion_tokens) == (0, 20)
    assert read_one(b'{"custom_id": "r1", "response": {"status_code": ' + digits + b"}}").failure


@pytest.mark.parametrize(
    ("field", "odd"), [("id", "x" * 256), ("model", "a\x00b"), ("service_tier", 7), ("id", "")]
)
def test_names_that_no_column_holds_are_not_known(field: str, odd: object) -> None:
    response = read_one(answered("x", **{field: odd})).response
    assert response is not None
    assert getattr(response, {"id": "request_id"}.get(field, field)) is None


def test_broken_lines_say_where_and_why_and_reading_goes_on() -> None:
    lines = [
        b"\xef\xbb\xbf" + answered("first"),
        b"",
        b"   \r",
        b'{"custom_id": "r2", "resp',
        b"[1, 2]",
        b"null",
        line({}, custom_id=None),
        line({}, custom_id=7),
        line({}, custom_id=""),
        line({}, custom_id="a\x00b"),
        line({}, custom_id="\ud800"),
        b"{}",
        b"[" * 100_000,
        b'{"custom_id": "r1", "error": ' + b"[" * 100_000,
        answered("last") + b"\r",
    ]
    first, *broken, last = read_results(lines, error_file=False)
    assert isinstance(first, ResultLine)
    assert isinstance(last, ResultLine)
    assert broken == [
        BrokenLine(4, "invalid_json"),
        BrokenLine(5, "not_an_object"),
        BrokenLine(6, "not_an_object"),
        BrokenLine(7, "no_custom_id"),
        BrokenLine(8, "no_custom_id"),
        BrokenLine(9, "no_custom_id"),
        BrokenLine(10, "no_custom_id"),
        BrokenLine(11, "no_custom_id"),
        BrokenLine(12, "no_custom_id"),
        BrokenLine(13, "invalid_json"),
        BrokenLine(14, "invalid_json"),
    ]


def test_a_damaged_character_does_not_cost_the_line() -> None:
    response = read_one(answered("caf\u00e9").replace(b"\\u00e9", b"\xe9")).response
    assert response is not None
    assert response.content == "caf\ufffd"


def test_lines_are_read_one_at_a_time() -> None:
    def endless() -> Any:
        while True:
            yield answered("x")

    found = read_results(endless(), error_file=False)
    assert isinstance(next(found), ResultLine)


@settings(deadline=None)
@given(st.lists(st.binary()), st.booleans())
def test_any_bytes_can_be_read(lines: list[bytes], error_file: bool) -> None:
    assert len(list(read_results(lines, error_file=error_file))) <= len(lines)


TEXTS = st.just(CANARY) | st.text()
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


def objects(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional={key: VALUES | kind for key, kind in fields.items()})


ERRORS = objects(code=TEXTS, type=TEXTS, message=TEXTS, param=TEXTS)
MESSAGES = objects(content=TEXTS, refusal=TEXTS)
CHOICES = st.lists(objects(message=MESSAGES, finish_reason=TEXTS), max_size=2)
BODIES = objects(id=TEXTS, model=TEXTS, choices=CHOICES, usage=VALUES, error=ERRORS)
STATUSES = st.sampled_from([0, 200, 400, 401, 408, 429, 500])
RESPONSES = objects(status_code=STATUSES, body=BODIES | BODIES.map(json.dumps))
ROWS = objects(custom_id=st.just("r1"), response=RESPONSES, error=ERRORS)


@settings(deadline=None)
@given(st.lists(ROWS, max_size=3), st.booleans())
def test_any_row_can_be_read_and_no_failure_quotes_it(
    rows: list[dict[str, Any]], error_file: bool
) -> None:
    lines = [json.dumps(row).encode() for row in rows]
    found = list(read_results(lines, error_file=error_file))
    assert len(found) == len(rows)
    for result in found:
        if isinstance(result, BrokenLine):
            continue
        assert (result.response is not None) or (result.failure is not None)
        assert CANARY not in repr(result.failure)
        if result.response is not None:
            assert CANARY not in repr(result.response.usage)
