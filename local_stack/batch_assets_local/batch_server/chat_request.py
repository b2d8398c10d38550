"""What a chat completion may ask for: the checks that OpenAI makes, with its messages.

The same checks refuse a synchronous call and a row of a batch; neither is billed then.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from batch_assets_local.batch_server.api_errors import (
    ApiError,
    bad_request,
    invalid_type,
    invalid_value,
    missing_parameter,
    out_of_range,
)
from batch_assets_local.batch_server.models import Catalog, Model
from batch_assets_local.batch_server.response_format import check_response_format
from batch_assets_local.batch_server.tokens import count_tokens, message_text, prompt_tokens

_PARAMETERS = frozenset({
    "audio", "frequency_penalty", "function_call", "functions", "logit_bias", "logprobs",
    "max_completion_tokens", "max_tokens", "messages", "metadata", "modalities", "model", "n",
    "parallel_tool_calls", "prediction", "presence_penalty", "prompt_cache_key",
    "prompt_cache_retention", "reasoning_effort", "response_format", "safety_identifier", "seed",
    "service_tier", "stop", "store", "stream", "stream_options", "temperature", "tool_choice",
    "tools", "top_logprobs", "top_p", "user", "verbosity", "web_search_options",
})  # fmt: skip
_TIERS = ("auto", "default", "flex", "scale", "priority")
_ROLES = ("system", "assistant", "user", "function", "tool", "developer")
_RANGES = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "presence_penalty": (-2, 2),
    "frequency_penalty": (-2, 2),
}
_FIXED_WHEN_REASONING = {"temperature": 1, "top_p": 1}
_REFUSED_WHEN_REASONING = ("presence_penalty", "frequency_penalty", "logprobs", "top_logprobs")


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A request that passed the checks; `max_tokens` is None when the model's own limit holds."""

    model: Model
    messages: list[dict[str, Any]]
    response_format: dict[str, Any] | None
    max_tokens: int | None
    prompt_tokens: int
    shared_tokens: int
    effort: str
    metadata: dict[str, str] | None
    service_tier: str
    """The one that was asked for; `default` where none was."""


def check_chat_request(body: object, catalog: Catalog) -> ChatRequest:
    """Check a request's body.

    Raises:
        ApiError: it is not as it should be; what OpenAI would answer.
    """
    if not isinstance(body, dict):
        raise bad_request("We could not parse the JSON body of your request.")
    model = _model(body, catalog)
    unknown = next((name for name in body if name not in _PARAMETERS), None)
    if unknown is not None:
        raise bad_request(f"Unrecognized request argument supplied: {unknown[:64]}")
    messages = _messages(body)
    _check_numbers(body, model)
    response_format, schema_tokens = check_response_format(
        body.get("response_format"), model, messages
    )
    limit = _max_tokens(body, model)
    tokens = prompt_tokens(messages) + schema_tokens
    _check_context(tokens, limit, model)
    return ChatRequest(
        model=model,
        messages=messages,
        response_format=response_format,
        max_tokens=limit,
        prompt_tokens=tokens,
        shared_tokens=schema_tokens + _leading_tokens(messages),
        effort=str(body.get("reasoning_effort") or "medium"),
        metadata=_metadata(body),
        service_tier=_service_tier(body, model),
    )


def _model(body: Mapping[str, Any], catalog: Catalog) -> Model:
    name = body.get("model")
    if name is None:
        raise bad_request("you must provide a model parameter")
    if not isinstance(name, str):
        raise invalid_type("model", "a string", name)
    return catalog.require(name)


def _messages(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    messages = body.get("messages")
    if messages is None:
        raise missing_parameter("messages")
    if not isinstance(messages, list):
        raise invalid_type("messages", "an array of objects", messages)
    if not messages:
        message = (
            "Invalid 'messages': empty array. Expected an array with minimum length 1, "
            "but got an empty array instead."
        )
        raise bad_request(message, param="messages", code="empty_array")
    for index, message in enumerate(messages):
        _check_message(f"messages[{index}]", message)
    return messages


def _check_message(place: str, message: object) -> None:
    if not isinstance(message, dict):
        raise invalid_type(place, "an object", message)
    role = message.get("role")
    if role is None:
        raise missing_parameter(f"{place}.role")
    if role not in _ROLES:
        raise invalid_value(f"{place}.role", str(role), _ROLES)
    content = message.get("content")
    if isinstance(content, str):
        return
    if content is None and role == "assistant":
        return
    if not isinstance(content, list):
        raise invalid_type(f"{place}.content", "one of a string or array of objects", content)
    for index, part in enumerate(content):
        _check_part(f"{place}.content[{index}]", part)


def _check_part(place: str, part: object) -> None:
    if not isinstance(part, dict):
        raise invalid_type(place, "an object", part)
    if part.get("type") not in {"text", "refusal"}:
        raise invalid_value(f"{place}.type", str(part.get("type")), ("text", "refusal"))
    if not isinstance(part.get(part["type"]), str):
        raise invalid_type(f"{place}.{part['type']}", "a string", part.get(part["type"]))


def _check_numbers(body: Mapping[str, Any], model: Model) -> None:
    for name, (low, high) in _RANGES.items():
        value = body.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise invalid_type(name, "a decimal", value)
        if not low <= value <= high:
            raise out_of_range(name, float(value), low, high)
    if body.get("n") not in {None, 1}:
        raise _unsupported_value("n", "only 1 is supported by this server.")
    if body.get("stream"):
        raise _unsupported_value("stream", "true is not supported by this server.")
    if model.reasoning:
        _check_reasoning(body)


def _check_reasoning(body: Mapping[str, Any]) -> None:
    for name, only in _FIXED_WHEN_REASONING.items():
        if body.get(name) not in {None, only}:
            raise _unsupported_value(
                name,
                f"does not support {body[name]} with this model. "
                f"Only the default ({only}) value is supported.",
            )
    for name in _REFUSED_WHEN_REASONING:
        if body.get(name):
            raise bad_request(
                f"Unsupported parameter: '{name}' is not supported with this model.",
                param=name,
                code="unsupported_parameter",
            )


def _unsupported_value(name: str, reason: str) -> ApiError:
    message = f"Unsupported value: '{name}' {reason}"
    return bad_request(message, param=name, code="unsupported_value")


def _max_tokens(body: Mapping[str, Any], model: Model) -> int | None:
    if body.get("max_tokens") is not None and model.reasoning:
        message = (
            "Unsupported parameter: 'max_tokens' is not supported with this model. "
            "Use 'max_completion_tokens' instead."
        )
        raise bad_request(message, param="max_tokens", code="unsupported_parameter")
    limit: int | None = None
    for name in ("max_tokens", "max_completion_tokens"):
        value = body.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int):
            raise invalid_type(name, "an integer", value)
        if value < 1:
            raise out_of_range(name, value, 1, model.max_output)
        if value > model.max_output:
            message = (
                f"{name} is too large: {value}. This model supports at most {model.max_output} "
                f"completion tokens, whereas you provided {value}."
            )
            raise bad_request(message, param=name, code="invalid_value")
        limit = value
    return limit


def _check_context(tokens: int, limit: int | None, model: Model) -> None:
    if tokens + (limit or 0) <= model.context_window:
        return
    counted = f"your messages resulted in {tokens} tokens"
    if tokens <= model.context_window:
        counted = (
            f"you requested {tokens + (limit or 0)} tokens ({tokens} in the messages, "
            f"{limit} in the completion)"
        )
    message = (
        f"This model's maximum context length is {model.context_window} tokens. "
        f"However, {counted}. Please reduce the length of the messages."
    )
    raise bad_request(message, param="messages", code="context_length_exceeded")


def _metadata(body: Mapping[str, Any]) -> dict[str, str] | None:
    metadata = body.get("metadata")
    if metadata is not None and not isinstance(metadata, dict):
        raise invalid_type("metadata", "an object", metadata)
    return metadata


def _service_tier(body: Mapping[str, Any], model: Model) -> str:
    tier = body.get("service_tier")
    if tier in {None, "auto"}:
        return "default"
    if tier not in _TIERS:
        raise invalid_value("service_tier", str(tier), _TIERS)
    if tier == "flex" and not model.flex:
        message = "Invalid service_tier argument: 'flex' is not available for this model."
        raise bad_request(message, param="service_tier")
    return str(tier)


def _leading_tokens(messages: list[dict[str, Any]]) -> int:
    first = messages[0]
    if first["role"] not in {"system", "developer"}:
        return 0
    return count_tokens(message_text(first))
