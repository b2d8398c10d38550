"""Factories for conversations and responses."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from batch_assets.domain.money import Usage
from batch_assets.domain.records import Conversation, Response

FULL_ANSWER: dict[str, Any] = {
    "language": "nl",
    "sentiment": "NEGATIVE",
    "escalated": True,
    "forwarded_hr": False,
    "category": "SALARY_COMPENSATION",
    "questions": ["When is my salary paid?", "Who can correct my payslip?"],
    "summary": "The employee misses a payslip and was passed on to a colleague.",
}


@pytest.fixture
def full_answer() -> dict[str, Any]:
    return {**FULL_ANSWER, "questions": list(FULL_ANSWER["questions"])}


@pytest.fixture(scope="session")
def make_conversation() -> Callable[..., Conversation]:
    def make(
        *contents: str, model: str = "gpt-4o-mini", processing_type: str = "full_analysis"
    ) -> Conversation:
        roles = ("user", "assistant")
        return Conversation(
            request_id="request-1",
            session_id="session-1",
            batch_id="batch-1",
            model=model,
            processing_type=processing_type,
            times=[f"2026-03-12 09:{place % 60:02}:05" for place in range(len(contents))],
            roles=[roles[place % 2] for place in range(len(contents))],
            contents=contents,
        )

    return make


@pytest.fixture(scope="session")
def make_response() -> Callable[..., Response]:
    def make(answer: Any = None, **fields: Any) -> Response:
        """`answer` is the text itself, or what the text is the JSON of."""
        content = answer if answer is None or isinstance(answer, str) else json.dumps(answer)
        given = {
            "request_id": "chatcmpl-1",
            "model": "gpt-4o-mini-2024-07-18",
            "service_tier": None,
            "system_fingerprint": None,
            "usage": Usage(10, 20, 30),
            "content": content,
            "finish_reason": "stop",
        }
        return Response(**(given | fields))

    return make
