"""Where a set of outcomes lies between the statement that brings it and the one that takes it."""

from typing import Any

from sqlalchemy import ARRAY, Boolean, Column, Double, Integer, Table, Text

from batch_assets.store.tables.base import OWN_SCHEMA, metadata

_COUNTS = (
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "cached_tokens",
    "audio_tokens_prompt",
    "reasoning_tokens",
    "audio_tokens_completion",
    "accepted_prediction_tokens",
    "rejected_prediction_tokens",
)


def _findings() -> list[Column[Any]]:
    """What was found in a conversation, as far as a session holds it."""
    return [
        Column("language", Text),
        Column("sentiment", Text),
        Column("category", Text),
        Column("escalated", Boolean),
        Column("forwarded_hr", Boolean),
        Column("summary", Text),
        Column("questions", ARRAY(Text)),
    ]


result_staging = Table(
    "result_staging",
    metadata,
    Column("batch_id", Text, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("counted", Boolean, nullable=False),
    Column("failure_kind", Text),
    Column("code", Text),
    Column("reason", Text),
    Column("attempts", Integer),
    Column("delay_seconds", Double),
    Column("openai_request_id", Text),
    Column("service_tier", Text),
    Column("system_fingerprint", Text),
    *(Column(name, Integer) for name in _COUNTS),
    Column("prompt_token_cost", Double),
    Column("completion_token_cost", Double),
    Column("cost_eur", Double, nullable=False),
    Column("live_cost_eur", Double, nullable=False),
    Column("line", Integer, nullable=False),
    *_findings(),
    schema=OWN_SCHEMA,
    prefixes=["UNLOGGED"],
)

question_staging = Table(
    "question_staging",
    metadata,
    Column("session_id", Text, nullable=False),
    Column("questions", ARRAY(Text), nullable=False),
    schema=OWN_SCHEMA,
    prefixes=["UNLOGGED"],
)

session_staging = Table(
    "session_staging",
    metadata,
    Column("session_id", Text, nullable=False),
    Column("line", Integer, nullable=False),
    Column("is_answered", Boolean, nullable=False),
    *_findings(),
    schema=OWN_SCHEMA,
    prefixes=["UNLOGGED"],
)
