"""Finds the conversation in a chat request, whatever JSON it is wrapped in."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

_EMPLOYEE_ROLES: Final = frozenset({"user", "employee", "customer", "human"})
_ASSISTANT_ROLES: Final = frozenset({"assistant", "bot", "agent", "chatbot", "ai"})
_DEPTH: Final = 6


@dataclass(frozen=True, slots=True)
class Turn:
    """One message: by the employee, or by the assistant."""

    by_employee: bool
    text: str = field(repr=False)


def conversation_in(messages: Iterable[Mapping[str, Any]]) -> tuple[Turn, ...]:
    """The turns of the conversation that the last user message of a chat request holds.

    That message is one JSON value, with a list of role/content objects somewhere in it. Only the
    message itself is read as JSON, never a text within the conversation. A message that is no
    such JSON is taken for the whole conversation, as one turn.
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
    """The first list of role/content objects, the outermost first."""
    if isinstance(value, list) and value and all(_is_message(item) for item in value):
        return value
    if depth == 0 or not isinstance(value, (dict, list)):
        return None
    for item in value.values() if isinstance(value, dict) else value:
        found = _search(item, depth - 1)
        if found is not None:
            return found
    return None


def _is_message(item: object) -> bool:
    return isinstance(item, dict) and isinstance(item.get("role"), str) and "content" in item


def _turns(items: Sequence[Mapping[str, Any]]) -> Iterable[Turn]:
    for item in items:
        role = item["role"].strip().lower()
        if role in _EMPLOYEE_ROLES or role in _ASSISTANT_ROLES:
            yield Turn(by_employee=role in _EMPLOYEE_ROLES, text=_text(item["content"]))
