"""Live chat completions and models; the checks are those of a batch's rows, too."""

from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletion
from pydantic import BaseModel

from batch_assets_local.batch_server import ServerConfig
from batch_assets_tests.local.batch_server.support import Lab

HELLO = [{"role": "user", "content": "hello"}]


def chat(lab: Lab, **body: Any) -> ChatCompletion:
    request = {"model": "gpt-4o-mini", "messages": HELLO} | body
    return lab.client.post("/chat/completions", cast_to=ChatCompletion, body=request)


def test_a_live_answer_is_billed(fresh_lab: Lab) -> None:
    answer = fresh_lab.client.chat.completions.create(
        model="gpt-4o-mini",
        messages=[{"role": "user", "content": "hello"}],
        metadata={"request": "7"},
        temperature=0.1,
        max_tokens=100,
    )
    (entry,) = fresh_lab.server.ledger().entries()
    assert answer.usage is not None
    assert (entry.kind, entry.custom_id, entry.batch_id) == ("live", None, None)
    assert (entry.model, entry.metadata) == ("gpt-4o-mini-2024-07-18", {"request": "7"})
    assert entry.prompt_tokens == answer.usage.prompt_tokens
    assert entry.completion_tokens == answer.usage.completion_tokens


def test_the_callers_own_id_is_in_the_ledger(fresh_lab: Lab) -> None:
    fresh_lab.client.chat.completions.create(
        model="gpt-4o-mini",
        messages=[{"role": "user", "content": "hello"}],
        extra_headers={"X-Client-Request-Id": "mine/7"},
    )
    (entry,) = fresh_lab.server.ledger().entries(custom_id="mine/7")
    assert (entry.kind, entry.batch_id) == ("live", None)


def test_the_sdk_parses_a_structured_answer(lab: Lab) -> None:
    class Answer(BaseModel):
        messages: int
        formatted: bool

    parsed = lab.client.chat.completions.parse(
        model="gpt-4o-mini",
        messages=[{"role": "user", "content": "hello"}],
        response_format=Answer,
    )
    assert parsed.choices[0].message.parsed == Answer(messages=1, formatted=True)


def test_answers_carry_rate_limit_headers(lab: Lab) -> None:
    raw = lab.client.chat.completions.with_raw_response.create(
        model="gpt-4o-mini", messages=[{"role": "user", "content": "hello"}]
    )
    assert "x-ratelimit-remaining-requests" in raw.headers
    assert raw.headers["openai-version"] == "2020-10-01"


def test_an_answer_that_is_too_long_is_cut_off(lab: Lab) -> None:
    answer = chat(lab, max_completion_tokens=2)
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 2
    assert len(answer.choices[0].message.content or "") <= 8


def test_a_reasoning_model_reasons_within_its_limit(lab: Lab) -> None:
    usage = chat(lab, model="gpt-5-mini").usage
    assert usage is not None
    assert usage.completion_tokens_details is not None
    assert (usage.completion_tokens_details.reasoning_tokens or 0) >= 64
    cut = chat(lab, model="gpt-5-mini", max_completion_tokens=10)
    assert cut.choices[0].finish_reason == "length"
    assert cut.choices[0].message.content == ""
    assert cut.usage is not None
    assert cut.usage.completion_tokens == 10


@pytest.mark.parametrize("model", ["o1", "o3", "o3-mini", "o4-mini", "gpt-5", "gpt-5-nano"])
@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"temperature": 0.1}, "unsupported_value"),
        ({"top_p": 0.5}, "unsupported_value"),
        ({"max_tokens": 100}, "unsupported_parameter"),
        ({"presence_penalty": 1}, "unsupported_parameter"),
        ({"logprobs": True}, "unsupported_parameter"),
    ],
)
def test_reasoning_models_refuse_what_they_do_not_know(
    lab: Lab, model: str, change: dict[str, Any], code: str
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        chat(lab, model=model, **change)
    assert (refused.value.param, refused.value.code) == (next(iter(change)), code)


@pytest.mark.parametrize(
    ("change", "param", "code"),
    [
        ({"model": None}, None, None),
        ({"model": 4}, "model", "invalid_type"),
        ({"messages": None}, "messages", "missing_required_parameter"),
        ({"messages": "hello"}, "messages", "invalid_type"),
        ({"messages": []}, "messages", "empty_array"),
        ({"messages": ["hello"]}, "messages[0]", "invalid_type"),
        ({"messages": [{"content": "x"}]}, "messages[0].role", "missing_required_parameter"),
        (
            {"messages": [*HELLO, {"role": "robot", "content": "x"}]},
            "messages[1].role",
            "invalid_value",
        ),
        ({"messages": [{"role": "user"}]}, "messages[0].content", "invalid_type"),
        (
            {"messages": [{"role": "user", "content": [{"type": "sound"}]}]},
            "messages[0].content[0].type",
            "invalid_value",
        ),
        ({"temperature": -1}, "temperature", "decimal_below_min_value"),
        ({"top_p": 1.5}, "top_p", "decimal_above_max_value"),
        ({"temperature": "warm"}, "temperature", "invalid_type"),
        ({"max_tokens": 0}, "max_tokens", "integer_below_min_value"),
        ({"max_tokens": 1.5}, "max_tokens", "invalid_type"),
        ({"max_completion_tokens": 20_000}, "max_completion_tokens", "invalid_value"),
        ({"stream": True}, "stream", "unsupported_value"),
        ({"n": 2}, "n", "unsupported_value"),
        ({"response_format": "json"}, "response_format", "invalid_type"),
        ({"response_format": {"type": "xml"}}, "response_format.type", "invalid_value"),
        ({"response_format": {"type": "json_object"}}, "messages", None),
        (
            {"response_format": {"type": "json_schema"}},
            "response_format.json_schema",
            "missing_required_parameter",
        ),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "two words"}}},
            "response_format.json_schema.name",
            "invalid_value",
        ),
        ({"colour": "red"}, None, None),
    ],
)
def test_wrong_requests_are_refused(
    lab: Lab, change: dict[str, Any], param: str | None, code: str | None
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        chat(lab, **change)
    assert (refused.value.param, refused.value.code) == (param, code)


def test_content_may_come_in_parts(lab: Lab) -> None:
    parts = [{"type": "text", "text": "hel"}, {"type": "text", "text": "lo"}]
    answer = chat(lab, messages=[{"role": "user", "content": parts}])
    assert answer.usage == chat(lab).usage


def test_json_mode_wants_the_word_json(lab: Lab) -> None:
    messages = [{"role": "user", "content": "answer in JSON"}]
    assert chat(lab, messages=messages, response_format={"type": "json_object"})


def test_the_oldest_model_has_no_json_mode(lab: Lab) -> None:
    messages = [{"role": "user", "content": "answer in JSON"}]
    with pytest.raises(openai.BadRequestError, match="'json_object' is not supported with this"):
        chat(lab, model="gpt-4", messages=messages, response_format={"type": "json_object"})
    assert chat(lab, model="gpt-4", messages=messages)


def test_an_old_model_has_no_schemas(lab: Lab) -> None:
    schema = {"type": "json_schema", "json_schema": {"name": "answer", "schema": {}}}
    with pytest.raises(openai.BadRequestError, match="not supported with this model"):
        chat(lab, model="gpt-4-turbo", response_format=schema)


def test_a_conversation_that_is_too_long_is_refused(lab: Lab) -> None:
    long = [{"role": "user", "content": "x" * 4 * 128_000}]
    with pytest.raises(openai.BadRequestError, match="maximum context length is 128000") as refused:
        chat(lab, messages=long)
    assert refused.value.code == "context_length_exceeded"
    nearly = [{"role": "user", "content": "x" * 4 * 127_000}]
    with pytest.raises(openai.BadRequestError, match="in the completion") as refused:
        chat(lab, messages=nearly, max_tokens=2_000)
    assert refused.value.code == "context_length_exceeded"


def test_an_unknown_model_is_not_found(lab: Lab) -> None:
    with pytest.raises(openai.NotFoundError) as refused:
        chat(lab, model="gpt-nonesuch")
    assert refused.value.code == "model_not_found"
    with pytest.raises(openai.NotFoundError):
        lab.client.models.retrieve("gpt-nonesuch")


def test_models_are_listed(lab: Lab) -> None:
    names = {model.id for model in lab.client.models.list()}
    assert {"gpt-4o-mini", "gpt-4.1", "gpt-5", "o3"} <= names
    model = lab.client.models.retrieve("gpt-4o")
    assert (model.object, model.owned_by) == ("model", "system")


def test_flex_is_answered_and_billed_as_flex_where_the_model_has_it(fresh_lab: Lab) -> None:
    by_flex = chat(fresh_lab, model="gpt-5-mini", service_tier="flex")
    usual = chat(fresh_lab, model="gpt-5-mini", service_tier="auto")
    assert (by_flex.service_tier, usual.service_tier) == ("flex", "default")
    billed = [entry.service_tier for entry in fresh_lab.server.ledger().entries()]
    assert billed == ["flex", "default"]
    with pytest.raises(openai.BadRequestError) as refused:
        chat(fresh_lab, service_tier="flex")
    assert refused.value.param == "service_tier"
    with pytest.raises(openai.BadRequestError):
        chat(fresh_lab, service_tier="cheap")


def test_rules_strike_the_calls_of_a_tier(fresh_lab: Lab) -> None:
    no_room = {"kind": "http_error", "status": 429, "error": {"code": "resource_unavailable"}}
    fresh_lab.server.set_config(
        ServerConfig.model_validate(
            {
                "rows": [
                    {"where": "live", "service_tier": "flex", "effect": no_room},
                    {"where": "live", "effect": {"kind": "tier", "service_tier": "priority"}},
                ]
            }
        )
    )
    with pytest.raises(openai.RateLimitError) as full:
        chat(fresh_lab, model="gpt-5-mini", service_tier="flex")
    assert full.value.code == "resource_unavailable"
    assert chat(fresh_lab).service_tier == "priority"
    (entry,) = fresh_lab.server.ledger().entries()
    assert entry.service_tier == "priority"
