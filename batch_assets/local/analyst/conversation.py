"""Finds the conversation in a chat request, whatever JSON it is wrapped in."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

_EMPLOYEE_ROLES: Final = frozenset({"user", "employee", "customer", "human"})
_ASSISTANT_ROLES: Final = frozenset({"assistant", "bot", "agent", "chatbot", "ai"})
_CONTINUED: Final = "unknown"
"""LiveDash's import makes a message of this role of each line that begins without one."""
_LINE: Final = re.compile(
    r"(?:(?:\d{4,}-\d\d-\d\d )?\d\d:\d\d:\d\d)? (?P<role>[\w-]*): (?P<content>.*)", re.DOTALL
)
_DEPTH: Final = 6


@dataclass(frozen=True, slots=True)
class Turn:
    """One message: by the employee, or by the assistant."""

    by_employee: bool
    text: str = field(repr=False)


def conversation_in(messages: Iterable[Mapping[str, Any]]) -> tuple[Turn, ...]:
    """The turns of the conversation that the last user message of a chat request holds.

    That message is one JSON value: a list of texts such as `09:30:05 user: Hello`, or with a list
    of role/content objects somewhere in it. Only the message itself is read as JSON, never a text
    within the conversation. A message that is no such JSON is taken for the whole conversation, as
    one turn.
    """
    texts = [_text(message.get("content")) for message in messages if _is_user(message)]
    if not texts:
        return ()
    try:
        value = json.loads(texts[-1])
    except (ValueError, RecursionError):
        return (Turn(by_employee=True, text=texts[-1]),)
    found = _search(value, _DEPTH)
    if found is not None:
        return tuple(_turns(found))
    return () if isinstance(value, (dict, list)) else (Turn(by_employee=True, text=texts[-1]),)


def _is_user(message: Mapping[str, Any]) -> bool:
    return message.get("role") == "user"


def _text(content: object) -> str:
    """A message's content, which is a string or a list of parts; half characters replaced."""
    if isinstance(content, list):
        parts = [p["text"] for p in content if isinstance(p, dict) and "text" in p]
        content = "\n".join(map(str, parts))
    return content.encode(errors="replace").decode() if isinstance(content, str) else ""


def _search(value: object, depth: int) -> Sequence[Mapping[str, Any]] | None:
    """The first list of texts or role/content objects, the outermost first."""
    lines = _lines(value)
    if lines:
        return lines
    if isinstance(value, list) and value and all(_is_message(item) for item in value):
        return value
    if depth == 0 or not isinstance(value, (dict, list)):
        return None
    for item in value.values() if isinstance(value, dict) else value:
        found = _search(item, depth - 1)
        if found is not None:
            return found
    return None


def _lines(value: object) -> Sequence[Mapping[str, Any]] | None:
    """The messages of a list of texts; `None` if anything in it is no such text."""
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        return None
    found = [_LINE.fullmatch(item) for item in value]
    return [match.groupdict() for match in found if match] if all(found) else None


def _is_message(item: object) -> bool:
    return isinstance(item, dict) and isinstance(item.get("role"), str) and "content" in item


def _turns(items: Sequence[Mapping[str, Any]]) -> Sequence[Turn]:
    """The turns of both sides; a message that goes on with the one before is part of its turn."""
    turns: list[Turn] = []
    for item in items:
        role, text = item["role"].strip().lower(), _text(item["content"])
        if role in _EMPLOYEE_ROLES or role in _ASSISTANT_ROLES:
            turns.append(Turn(by_employee=role in _EMPLOYEE_ROLES, text=text))
        elif role == _CONTINUED and turns:
            turns[-1] = Turn(turns[-1].by_employee, f"{turns[-1].text}\n{text}")
    return turns
