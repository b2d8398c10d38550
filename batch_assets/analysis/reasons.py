"""Why an answer could not be used, in words that hold nothing of the answer.

Pydantic's own messages quote the input, and a location can hold a key that the model made up.
So a reason is made of declared fields' names, positions in lists and types of errors only.
"""

from collections.abc import Collection

from pydantic import ValidationError

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
