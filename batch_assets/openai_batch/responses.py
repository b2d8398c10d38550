"""The body of one answered request: its text, and what the server counted."""

import math
from collections.abc import Mapping

from batch_assets.domain.errors import Failure, FailureKind
from batch_assets.domain.money import Usage
from batch_assets.domain.records import Response
from batch_assets.openai_batch.error_codes import identifier
from batch_assets.openai_batch.objects import UnreadableAnswerError

_LARGEST_COUNT = 2**31 - 1
"""More is no count of tokens: it would fit neither a context window nor LiveDash's columns."""

_TEXT_PARTS = ("text", "output_text")

_NOTHING: Mapping[str, object] = {}


def read_answer(value: object) -> tuple[Response, Failure | None]:
    """Read the answer to a synchronous request; see `read_response`.

    Raises:
        UnreadableAnswerError: It is no object.
    """
    if not isinstance(value, Mapping):
        raise UnreadableAnswerError("not an object")
    return read_response(value)


def read_response(body: Mapping[str, object]) -> tuple[Response, Failure | None]:
    """Read what the server answered. It was paid for, also where a failure says it is of no use.

    Whether the text is what was asked for is not judged here.
    """
    choices = body.get("choices")
    choice = _mapping(choices[0]) if isinstance(choices, list) and choices else _NOTHING
    message = _mapping(choice.get("message"))
    content, refuses = _text(message.get("content"))
    response = Response(
        request_id=_name(body.get("id"), 255),
        model=_name(body.get("model"), 100),
        service_tier=_name(body.get("service_tier"), 50),
        system_fingerprint=_name(body.get("system_fingerprint"), 255),
        usage=read_usage(body.get("usage")),
        content=content if content.strip() else None,
        refused=bool(message.get("refusal")) or refuses,
        finish_reason=identifier(choice.get("finish_reason")),
    )
    return response, _without_answer(response)


def read_usage(usage: object) -> Usage:
    """Read token counts; what is missing, negative or broken is 0, in the details `None`."""
    usage = _mapping(usage)
    prompt = _mapping(usage.get("prompt_tokens_details"))
    completion = _mapping(usage.get("completion_tokens_details"))
    prompt_tokens = _count(usage.get("prompt_tokens")) or 0
    completion_tokens = _count(usage.get("completion_tokens")) or 0
    total_tokens = _count(usage.get("total_tokens"))
    if total_tokens is None:
        total_tokens = min(prompt_tokens + completion_tokens, _LARGEST_COUNT)
    return Usage(
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        total_tokens=total_tokens,
        cached_tokens=_count(prompt.get("cached_tokens")),
        audio_tokens_prompt=_count(prompt.get("audio_tokens")),
        reasoning_tokens=_count(completion.get("reasoning_tokens")),
        audio_tokens_completion=_count(completion.get("audio_tokens")),
        accepted_prediction_tokens=_count(completion.get("accepted_prediction_tokens")),
        rejected_prediction_tokens=_count(completion.get("rejected_prediction_tokens")),
    )


def _without_answer(response: Response) -> Failure | None:
    if response.refused:
        return Failure(FailureKind.PERMANENT, "refused", "The model refused to answer.")
    if response.finish_reason == "content_filter":
        return Failure(
            FailureKind.PERMANENT, "content_filter", "The server's content filter held the answer."
        )
    if response.content is None:
        reason = f"The answer is empty (finish reason {response.finish_reason or 'not given'})."
        return Failure(FailureKind.TRANSIENT, "empty_answer", reason)
    return None


def _text(content: object) -> tuple[str, bool]:
    """The text of a message's content, which may come in parts, and whether one is a refusal.

    Parts of other types, such as thoughts, are no part of the answer.
    """
    if isinstance(content, str):
        return content, False
    parts = [_mapping(part) for part in content] if isinstance(content, list) else []
    texts = [part.get("text") for part in parts if part.get("type", "text") in _TEXT_PARTS]
    refuses = any(part.get("type") == "refusal" for part in parts)
    return "".join(text for text in texts if isinstance(text, str)), refuses


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else _NOTHING


def _count(value: object) -> int | None:
    if type(value) is int and 0 <= value <= _LARGEST_COUNT:
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not math.isfinite(value) or not 0 <= value <= _LARGEST_COUNT or value != int(value):
        return None
    return int(value)


def _name(value: object, longest: int) -> str | None:
    """`value` if it is one printable line that fits LiveDash's column; else it is not known."""
    if isinstance(value, str) and 0 < len(value) <= longest and value.isprintable():
        return value
    return None
