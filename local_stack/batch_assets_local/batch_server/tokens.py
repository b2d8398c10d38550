"""Token counts, estimated at four bytes of UTF-8 a token, and never less than one."""

from collections.abc import Iterable, Mapping
from typing import Any

_BYTES_A_TOKEN = 4
_TOKENS_A_MESSAGE = 3


def count_tokens(text: str) -> int:
    """About how many tokens a text has."""
    return max(1, -(-len(text.encode("utf-8", "surrogatepass")) // _BYTES_A_TOKEN))


def prompt_tokens(messages: Iterable[Mapping[str, Any]]) -> int:
    """About how many tokens a conversation has, with the three that frame each message."""
    return sum(_TOKENS_A_MESSAGE + count_tokens(message_text(message)) for message in messages)


def message_text(message: Mapping[str, Any]) -> str:
    """The text of a message, its parts joined."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    return "".join(part.get("text") or part.get("refusal") or "" for part in content or [])


def cut_to_tokens(text: str, tokens: int) -> str:
    """The beginning of a text that has at most so many tokens, whole characters only."""
    cut = text.encode("utf-8", "surrogatepass")[: tokens * _BYTES_A_TOKEN]
    return cut.decode("utf-8", "ignore")
