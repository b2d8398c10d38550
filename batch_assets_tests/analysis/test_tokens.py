"""What a request costs beside its conversation, counted as OpenAI's models count.

The constant part is the system prompt and the whole of `response_format` as `json.dumps` writes it.
The request's line has no blanks after commas and colons, and what a model is shown of a schema has
neither those nor its wrapping: what is charged is less.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import toktok  # type: ignore[import-untyped]

from batch_assets.analysis import (
    expected_completion_tokens,
    overhead_bytes,
    prompt_tokens,
    request_body,
    schema_tokens,
)
from batch_assets.analysis.processing_types import TYPES
from batch_assets.domain.json_text import value_as_json
from batch_assets.domain.packing import (
    ESTIMATED_BYTES_PER_TOKEN,
    JSON_BYTES_PER_MESSAGE,
    LINE_BYTES_PER_MESSAGE,
)
from batch_assets.domain.records import Conversation
from batch_assets.openai_batch.profiles import profile_of
from batch_assets.openai_batch.spool import LINE_BYTES
from batch_assets_local.answers import answer
from batch_assets_local.samples import SampleSession, sample_sessions
from batch_assets_tests.local.asking import body_of

MOST = {
    "session_analysis": 330,
    "full_analysis": 330,
    "categorization": 175,
    "sentiment_analysis": 95,
    "summary": 85,
}
MODELS = ("gpt-4o", "gpt-4-turbo", "gpt-4", "o3")

Make = Callable[..., Conversation]


def tokens(text: str) -> int:
    (counted,) = toktok.batch_count([text], "o200k_base")
    return int(counted)


def test_the_tokenizer_is_that_of_the_models() -> None:
    # Counted with OpenAI's own tokenizer on its own file of this name.
    assert tokens("hello world 2026-03-12T09:30:00Z") == 16
    assert tokens("Où est mon congé? 请假 😀") == 10
    assert tokens('{"type":"json_schema","json_schema":{"strict":true}}') == 13


@pytest.mark.parametrize(("name", "most"), MOST.items())
def test_the_constant_part_of_a_request_is_short(
    name: str, most: int, make_conversation: Make
) -> None:
    body = request_body(make_conversation(processing_type=name))
    constant = tokens(body["messages"][0]["content"]) + tokens(json.dumps(body["response_format"]))
    assert constant <= most


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", TYPES)
def test_estimates_of_the_constant_part_are_close(
    name: str, model: str, make_conversation: Make
) -> None:
    body = request_body(make_conversation(processing_type=name, model=model))
    schema = body.get("response_format", {}).get("json_schema")
    prompt = tokens(body["messages"][0]["content"])
    assert 0.95 * prompt <= prompt_tokens(name, model) <= 1.2 * prompt + 5
    sent = 0 if schema is None else tokens(json.dumps(schema, separators=(",", ":")))
    assert sent <= schema_tokens(name, model) <= 1.3 * sent + 5


@pytest.fixture(scope="module")
def bodies() -> list[tuple[SampleSession, dict[str, Any]]]:
    sessions = sample_sessions(now=datetime(2026, 3, 12, 9, 30, tzinfo=UTC))
    return [(session, body_of(session)) for session in sessions if session.messages]


def test_a_message_costs_ten_tokens_beside_its_text(
    bodies: list[tuple[SampleSession, dict[str, Any]]],
) -> None:
    sent = sum(tokens(body["messages"][1]["content"]) for _, body in bodies)
    said = sum(tokens(one.content) for session, _ in bodies for one in session.messages)
    messages = sum(len(session.messages) for session, _ in bodies)
    assert (sent - said) / messages < 10


def test_the_estimate_of_a_conversation_is_close_and_not_below(
    bodies: list[tuple[SampleSession, dict[str, Any]]],
) -> None:
    for session, body in bodies:
        size = sum(len(one.content.encode()) for one in session.messages)
        size += JSON_BYTES_PER_MESSAGE * len(session.messages)
        sent = tokens(body["messages"][1]["content"])
        assert 0.9 * sent <= size / ESTIMATED_BYTES_PER_TOKEN <= 2 * sent


def test_the_estimate_of_lines_is_less_than_half_a_per_cent_above_them_and_not_below(
    bodies: list[tuple[SampleSession, dict[str, Any]]],
) -> None:
    profile = profile_of("https://api.openai.com/v1")
    overhead = LINE_BYTES + overhead_bytes("session_analysis", "gpt-4o-mini")
    estimated, sent = [], []
    for session, body in bodies:
        size = sum(len(one.content.encode()) for one in session.messages)
        estimated.append(size + LINE_BYTES_PER_MESSAGE * len(session.messages) + overhead)
        where = {"method": "POST", "url": profile.endpoint}
        line = {"custom_id": "1" * 36, **where, "body": body}
        sent.append(len(value_as_json(line)) + 1)
    nearly = zip(sent, estimated, strict=True)
    assert all(0.995 * line <= most <= 1.01 * line for line, most in nearly)
    assert 0.995 < sum(sent) / sum(estimated) <= 1


def test_the_expected_answer_is_what_answers_have(
    bodies: list[tuple[SampleSession, dict[str, Any]]],
) -> None:
    counted = [tokens(answer(body["messages"], body["response_format"])) for _, body in bodies]
    usual = sum(counted) / len(counted)
    assert usual <= expected_completion_tokens("session_analysis") <= 1.3 * usual
