"""From the text of an answer to findings, or to a failure that says why not.

Nothing here raises: whatever a model wrote, the result is a value. Why an answer could not be used
is said in words that hold nothing of it: pydantic's own messages quote the input, and a location
can hold a key that the model made up. So a reason is made of declared fields' names, positions in
lists and types of errors only.
"""

import json
import re
import string
from collections.abc import Callable, Collection, Iterator
from typing import Any

from pydantic import ValidationError

from batch_assets.analysis import processing_types
from batch_assets.analysis.processing_types import ProcessingType, type_of
from batch_assets.domain.errors import Failure, FailureKind
from batch_assets.domain.json_text import json_value
from batch_assets.domain.records import Findings, Response

_FENCE = "```"
_END_OF_THOUGHTS = "</think>"
_OPENING = re.compile(r"\{\s*[\"}]")
"""Where an object begins; other braces belong to prose."""
_DECODER = json.JSONDecoder()

NOT_AN_OBJECT = "answer: not a JSON object (model_type)"

_MOST = 5
_PHRASES = {
    "missing": "missing",
    "enum": "not one of the allowed values",
    "literal_error": "not one of the allowed values",
    "string_type": "not text",
    "string_too_short": "too short",
    "string_too_long": "too long",
    "string_pattern_mismatch": "not in the expected form",
    "bool_type": "not true or false",
    "bool_parsing": "not true or false",
    "list_type": "not a list",
    "too_long": "too many",
    "too_short": "too few",
    "model_type": "not a JSON object",
}

REFUSED = Failure(FailureKind.PERMANENT, "refusal", "the model refused to answer")
FILTERED = Failure(FailureKind.PERMANENT, "refusal", "the content filter withheld the answer")
EMPTY = Failure(FailureKind.TRANSIENT, "empty_answer", "the answer has no text")
NOT_JSON = Failure(FailureKind.TRANSIENT, "invalid_json", "the answer is not JSON")
CUT_OFF = Failure(
    FailureKind.TRANSIENT, "truncated_answer", "the answer was cut off at the limit of its length"
)


def read_answer(processing_type: str, response: Response) -> Findings | Failure:
    """What the answer says: every field that was asked for, validated, or the failure."""
    kind = type_of(processing_type)
    return _read(response, lambda value: _whole(kind, value))


def read_partial_answer(processing_type: str, response: Response) -> Findings | Failure:
    """What an answer to LiveDash's own prompts says: every known field that is valid, at least one.

    Its prompts asked for other fields under the same processing types, so the fields of all types
    are looked for, those of `processing_type` first; it need not be a known one.
    """
    return _read(response, lambda value: _parts(processing_type, value))


def _read(response: Response, findings: Callable[[Any], Findings | Failure]) -> Findings | Failure:
    if response.refused:
        return REFUSED
    if response.finish_reason == "content_filter":
        return FILTERED
    is_cut = response.finish_reason == "length"
    result = _parsed(response.content, findings, is_cut=is_cut)
    if isinstance(result, Failure) and is_cut:
        return CUT_OFF
    return result


def _parsed(
    content: str | None, findings: Callable[[Any], Findings | Failure], *, is_cut: bool
) -> Findings | Failure:
    text = _without_fence(content or "")
    if not text:
        return EMPTY
    try:
        return findings(json_value(text))
    except (ValueError, RecursionError):  # ValueError: also an integer of thousands of digits
        found = None if is_cut else _only_object(text)
    return NOT_JSON if found is None else findings(found)


def _without_fence(content: str) -> str:
    text = content.removeprefix("\ufeff").strip()
    if len(text) >= 2 * len(_FENCE) and text.startswith(_FENCE) and text.endswith(_FENCE):
        text = text[len(_FENCE) : -len(_FENCE)].lstrip(string.ascii_letters).strip()
    return text


def _only_object(text: str) -> dict[str, Any] | None:
    """The one object in a text that is none itself: in a fence, among prose, after thoughts, or
    written twice. `None` if there is none, or another one, whole or broken, beside it."""
    found: dict[str, dict[str, Any]] = {}
    end = text.rfind(_END_OF_THOUGHTS) + 1
    while opening := _OPENING.search(text, end):
        try:
            value, end = _DECODER.raw_decode(text, opening.start())
            found[json.dumps(value, sort_keys=True)] = value
        except (ValueError, RecursionError):
            return None
        if len(found) > 1:
            return None
    return found.popitem()[1] if found else None


def _whole(kind: ProcessingType, value: Any) -> Findings | Failure:
    try:
        answer = kind.answer.model_validate(value)
    except ValidationError as error:
        if isinstance(value, dict) and value.keys() == kind.formerly:
            return _parts(kind.name, value)
        return _invalid(problems(error, kind.answer.model_fields))
    return Findings(**kind.written(answer))


def _parts(processing_type: str, value: Any) -> Findings | Failure:
    if not isinstance(value, dict):
        return _invalid([NOT_AN_OBJECT])
    found: dict[str, Any] = {}
    wrong: list[str] = []
    for kind in _own_first(processing_type):
        answer = kind.answer.model_construct()
        for name in kind.writes:
            if name in value and name not in found:
                try:
                    setattr(answer, name, value[name])
                except ValidationError as error:
                    wrong += problems(error, kind.answer.model_fields)
        found = kind.written(answer) | found
    return Findings(**found) if found else _invalid(wrong or ["answer: no known field (missing)"])


def _own_first(processing_type: str) -> Iterator[ProcessingType]:
    kinds = processing_types.TYPES
    if processing_type in kinds:
        yield kinds[processing_type]
    yield from (kind for name, kind in kinds.items() if name != processing_type)


def _invalid(found: list[str]) -> Failure:
    return Failure(FailureKind.TRANSIENT, "invalid_answer", reason(found))


def problems(error: ValidationError, declared: Collection[str]) -> list[str]:
    """One entry a problem, such as "category: not one of the allowed values (enum)"."""
    details = error.errors(include_url=False, include_context=False, include_input=False)
    return [
        f"{_place(detail['loc'], declared)}: "
        f"{_PHRASES.get(detail['type'], 'not valid')} ({detail['type']})"
        for detail in details
    ]


def reason(found: Collection[str]) -> str:
    """The problems as one line; of more than five the first five and how many there are."""
    distinct = list(dict.fromkeys(found))
    more = len(distinct) - _MOST
    return "; ".join(distinct[:_MOST]) + (f"; and {more} more" if more > 0 else "")


def _place(location: tuple[int | str, ...], declared: Collection[str]) -> str:
    if not location or location[0] not in declared:
        return "answer"
    positions = "".join(f"[{part}]" for part in location[1:] if isinstance(part, int))
    return f"{location[0]}{positions}"
