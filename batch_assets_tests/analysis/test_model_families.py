"""Parameters follow the model: what one family needs, another refuses."""

import json
from collections.abc import Callable

import pytest

from batch_assets.analysis import expected_completion_tokens, request_body
from batch_assets.analysis.processing_types import TYPES
from batch_assets.domain.records import Conversation

ORDINARY = ("gpt-4o", "gpt-4o-mini-2024-07-18", "gpt-4.1-nano", "ft:gpt-4o-mini-2024-07-18:acme::7")
REASONING = (
    "o1",
    "o1-2024-12-17",
    "o3",
    "o3-mini",
    "o4-mini-2025-04-16",
    "gpt-5",
    "gpt-5-mini-2025-08-07",
    "gpt-5.1",
    "gpt-5.2-2025-12-11",
    "ft:o4-mini-2025-04-16:acme:hr:9",
    "GPT-5-Nano",
)
UNKNOWN = ("acme-deployment", "gpt-6", "gpt-4o-search-preview", "gpt-45", "ft:", "", "o", "llama-3")
JSON_MODE = (
    "gpt-4-turbo",
    "gpt-4-turbo-2024-04-09",
    "gpt-4-1106-preview",
    "gpt-3.5-turbo",
    "gpt-4o-2024-05-13",
    "ft:gpt-3.5-turbo-0125:acme::1",
)
TEXT_ONLY = ("gpt-4", "gpt-4-0613", "gpt-4-32k", "gpt-3.5-turbo-16k-0613", "gpt-4-vision-preview")

Make = Callable[..., Conversation]


@pytest.mark.parametrize("model", ORDINARY)
def test_ordinary_models(model: str, make_conversation: Make) -> None:
    body = request_body(make_conversation("Hi", model=model))
    assert body["model"] == model
    assert body["temperature"] == 0.1
    assert body["max_completion_tokens"] == 1_000
    assert body["response_format"]["json_schema"]["strict"] is True
    assert "max_tokens" not in body


@pytest.mark.parametrize("model", REASONING + UNKNOWN)
def test_reasoning_and_unknown_models_get_the_safe_set(model: str, make_conversation: Make) -> None:
    body = request_body(make_conversation("Hi", model=model))
    assert body.keys() == {"model", "messages", "max_completion_tokens", "response_format"}
    assert body["max_completion_tokens"] >= 5_000


@pytest.mark.parametrize("model", JSON_MODE + TEXT_ONLY)
def test_models_without_strict_schemas_read_it_in_the_prompt(
    model: str, make_conversation: Make
) -> None:
    body = request_body(make_conversation("Hi", model=model))
    json_mode = {"type": "json_object"} if model in JSON_MODE else None
    assert body.get("response_format") == json_mode
    *_, last = body["messages"][0]["content"].split("\n")
    wanted = json.loads(last.removeprefix("Answer with JSON only: "))
    assert wanted["sentiment"] == "POSITIVE|NEUTRAL|NEGATIVE"
    assert set(wanted) == set(TYPES["full_analysis"].writes)
    assert body["temperature"] == 0.1


def test_expected_tokens_are_all_that_a_model_may_use_which_may_reason() -> None:
    answer = expected_completion_tokens("full_analysis")
    assert 50 < answer < 500
    assert expected_completion_tokens("full_analysis", "gpt-4o") == answer
    assert expected_completion_tokens("full_analysis", "o3") == 9_000, "all it may"
    assert expected_completion_tokens("sentiment_analysis") < answer
