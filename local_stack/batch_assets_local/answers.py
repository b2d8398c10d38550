"""Answers a chat request without a model: a sample with its truth, all else with one plain answer.

Nothing that a conversation says changes what is answered, other than by being a sample.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any, Final

from batch_assets_local.samples.recognition import recognize
from batch_assets_local.samples.records import Expected
from batch_assets_local.schema_fitter import SchemaFitter

PLAIN: Final = Expected("en", "UNRECOGNIZED_OTHER", "NEUTRAL", False, False)
"""What is said of a conversation that is none of the samples."""

_LINE: Final = re.compile(
    r"(?:(?:\d{4,}-\d\d-\d\d )?\d\d:\d\d:\d\d)? (?P<role>[\w-]*): (?P<content>.*)", re.DOTALL
)
_CONTINUED: Final = "unknown"
"""LiveDash's import makes a message of this role of each line that begins without one."""
_LANGUAGES: Final[Mapping[str, str]] = {
    "nl": "Dutch",
    "en": "English",
    "de": "German",
    "fr": "French",
    "es": "Spanish",
    "pl": "Polish",
}
_MOODS: Final[Mapping[str, str]] = {
    "NEGATIVE": ", and the employee remained dissatisfied",
    "POSITIVE": ", and the employee was pleased",
}


def answer(messages: Iterable[Mapping[str, Any]], response_format: Mapping[str, Any] | None) -> str:
    """The text of the assistant's answer to a chat request; the same for the same request.

    With a `json_schema` response format it is JSON that fits the schema, with `json_object` the
    whole analysis as JSON, otherwise a sentence or two.

    Raises:
        ValueError, KeyError: the schema refers to itself, or to what it does not define.
    """
    truth = recognize(conversation_in(messages))
    summary = _summary(truth) if truth else "The conversation is none of the samples."
    kind = response_format.get("type") if response_format else None
    known = {**asdict(truth or PLAIN), "questions": list((truth or PLAIN).questions)}
    known["summary"] = summary
    if response_format and kind == "json_schema":
        fitted = SchemaFitter(response_format["json_schema"]["schema"], known).build()
        return json.dumps(fitted, ensure_ascii=False)
    return json.dumps(known, ensure_ascii=False) if kind == "json_object" else summary


def conversation_in(messages: Iterable[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """The (role, text) of each message of the conversation that a chat request of ours holds.

    It is the last user message: a JSON list of texts such as `09:30:05 user: Hello`. A line that
    goes on with the message before is part of it. Empty where the message is anything else.
    """
    contents = [one.get("content") for one in messages if one.get("role") == "user"]
    found = [_LINE.fullmatch(line) for line in _texts(contents[-1])] if contents else []
    said: list[tuple[str, str]] = []
    for match in found:
        if match is None:
            return []
        role, text = match["role"], match["content"]
        if role == _CONTINUED and said:
            said[-1] = (said[-1][0], f"{said[-1][1]}\n{text}")
        else:
            said.append((role, text))
    return said


def _texts(content: object) -> list[str]:
    """The texts of a JSON list of texts; none where `content` is anything else."""
    try:
        value = json.loads(content) if isinstance(content, str) else None
    except (ValueError, RecursionError):
        return []
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    return []


def _summary(truth: Expected) -> str:
    """Two English sentences, between 10 and 300 characters, without text of the conversation."""
    asked = f'asked "{truth.questions[0]}"' if truth.questions else "wrote about something else"
    if truth.escalated:
        reply = "The assistant handed it over to a manager"
    elif truth.forwarded_hr:
        reply = "The assistant explained the way to go and pointed to HR"
    else:
        reply = "The assistant answered it"
    mood = _MOODS.get(truth.sentiment, "")
    return f"In {_LANGUAGES[truth.language]}, an employee {asked} {reply}{mood}."
