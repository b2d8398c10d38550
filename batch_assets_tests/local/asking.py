"""What the pipeline sends for a session of the samples."""

from typing import Any

from batch_assets.analysis import request_body
from batch_assets.domain.records import Conversation
from batch_assets_local.samples import SampleSession


def body_of(session: SampleSession, processing_type: str = "session_analysis") -> dict[str, Any]:
    said = session.messages
    times = [f"{one.timestamp or session.imported:%Y-%m-%d %H:%M:%S}" for one in said]
    roles, contents = [one.role for one in said], [one.content for one in said]
    return request_body(
        Conversation("r", session.id, "b", "gpt-4o-mini", processing_type, times, roles, contents)
    )
