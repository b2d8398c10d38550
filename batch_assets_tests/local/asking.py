"""What the pipeline sends for a session of the samples."""

from typing import Any

from batch_assets.analysis import request_body
from batch_assets.domain.records import Conversation, Message
from batch_assets_local.samples import SampleSession


def body_of(session: SampleSession, processing_type: str = "session_analysis") -> dict[str, Any]:
    messages = tuple(
        Message(f"{one.timestamp or session.imported:%Y-%m-%d %H:%M:%S}", one.role, one.content)
        for one in session.messages
    )
    return request_body(
        Conversation("r", session.id, "b", "gpt-4o-mini", processing_type, messages)
    )
