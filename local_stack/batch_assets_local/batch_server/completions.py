"""Chat completions: the model's answer in the shape of `chat.completion`, with its usage.

The text comes from an `Answerer`; everything else (token details, snapshot, fingerprint) is
derived from the request and the row's ids, so that the same row always gives the same answer.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from batch_assets_local.batch_server.chat_request import ChatRequest
from batch_assets_local.batch_server.fault_rules import (
    ContentEffect,
    FinishEffect,
    RowEffect,
    ShapeEffect,
    TierEffect,
)
from batch_assets_local.batch_server.identifiers import RowIds, fingerprint, fraction
from batch_assets_local.batch_server.tokens import count_tokens, cut_to_tokens

Answerer = Callable[[list[dict[str, Any]], dict[str, Any] | None], str]

_REFUSAL = "I'm sorry, but I can't help with that request."
_CACHE_MINIMUM = 1024
_CACHE_BLOCK = 128
_REASONING_STEPS = {"none": 0, "minimal": 0, "low": 4, "medium": 8, "high": 16, "xhigh": 24}


def default_answerer() -> Answerer:
    """The one that knows the samples, imported only when a server really starts."""
    from batch_assets_local.answers import answer  # noqa: PLC0415 (only where it is used)

    return answer


@dataclass(frozen=True, slots=True)
class Completion:
    """An answer and what it costs; reasoning tokens are part of the completion's."""

    body: dict[str, Any]
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    reasoning_tokens: int
    service_tier: str = "default"
    """The one that is charged."""


def complete(
    request: ChatRequest, answerer: Answerer, ids: RowIds, now: float, effect: RowEffect | None
) -> Completion:
    """Answer a request; an effect may put its own content in, refuse, or cut the answer off."""
    message, finish, visible = _message(request, answerer, ids, effect)
    reasoning = _reasoning_tokens(request, ids)
    cached = _cached_tokens(request, ids)
    completion = visible + reasoning
    tier = effect.service_tier if isinstance(effect, TierEffect) else request.service_tier
    body = {
        "id": ids.completion,
        "object": "chat.completion",
        "created": int(now),
        "model": request.model.snapshot,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish}],
        "usage": {
            "prompt_tokens": request.prompt_tokens,
            "completion_tokens": completion,
            "total_tokens": request.prompt_tokens + completion,
            "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": reasoning,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        },
        "service_tier": tier,
        "system_fingerprint": fingerprint(request.model.snapshot),
    }
    if isinstance(effect, ShapeEffect):
        _reshape(body, effect.kind)
    return Completion(body, request.prompt_tokens, cached, completion, reasoning, tier)


def _reshape(body: dict[str, Any], kind: str) -> None:
    """Give the content another shape, or leave the usage out; what is billed stays the same."""
    if kind == "without_usage":
        del body["usage"]
        return
    message = body["choices"][0]["message"]
    content = message["content"]
    half = len(content) // 2
    parts = [{"type": "text", "text": part} for part in (content[:half], content[half:])]
    message["content"] = {
        "parts": parts,
        "twice": f"{content}\n{content}",
        "fenced": f"```json\n{content}\n```",
        "prose": f"Here is the analysis:\n\n{content}\n\nLet me know if you need more.",
        "think": f"<think>What is {{asked}} here?</think>\n{content}",
    }[kind]


def _message(
    request: ChatRequest, answerer: Answerer, ids: RowIds, effect: RowEffect | None
) -> tuple[dict[str, Any], str, int]:
    """The assistant's message, its finish_reason and the tokens of what can be seen of it."""
    if isinstance(effect, FinishEffect) and effect.kind == "refusal":
        return _assistant(None, _REFUSAL), "stop", count_tokens(_REFUSAL)
    if isinstance(effect, ContentEffect):
        content = effect.content
    else:
        content = answerer(request.messages, request.response_format)
    tokens = count_tokens(content)
    allowed = tokens
    if request.max_tokens is not None:
        allowed = max(0, request.max_tokens - _reasoning_tokens(request, ids))
    if isinstance(effect, FinishEffect):
        allowed = tokens // 2
    if tokens <= allowed:
        return _assistant(content, None), "stop", tokens
    return _assistant(cut_to_tokens(content, allowed), None), "length", allowed


def _assistant(content: str | None, refusal: str | None) -> dict[str, Any]:
    return {"role": "assistant", "content": content, "refusal": refusal, "annotations": []}


def _reasoning_tokens(request: ChatRequest, ids: RowIds) -> int:
    """Multiples of 64 as reasoning models report them, more for more effort, never over the cap."""
    if not request.model.reasoning:
        return 0
    steps = _REASONING_STEPS.get(request.effort, _REASONING_STEPS["medium"])
    thought = 64 * int(steps * (0.5 + fraction("reasoning", ids.seed)))
    return thought if request.max_tokens is None else min(thought, request.max_tokens)


def _cached_tokens(request: ChatRequest, ids: RowIds) -> int:
    """A prefix of 1,024 tokens or more is found in the cache three times of four."""
    if request.shared_tokens < _CACHE_MINIMUM or fraction("cache", ids.seed) < 0.25:
        return 0
    return request.shared_tokens // _CACHE_BLOCK * _CACHE_BLOCK
