"""Our own tables of requests: from the intake to a dead letter, and what lies beside LiveDash.

In the staging tables a set of outcomes lies between the statement that brings it and the one that
takes it.
"""

from typing import Any

from sqlalchemy import (
    ARRAY,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Double,
    Index,
    Integer,
    Table,
    Text,
    text,
)

from batch_assets.store.tables.base import OWN_SCHEMA, metadata, timestamp

intake = Table(
    "intake",
    metadata,
    Column("request_id", Text, primary_key=True),
    Column("company_id", Text, nullable=False),
    Column("requested_at", DateTime(timezone=True), nullable=False),
    timestamp("noticed_at", required=True),
    Column("model", Text, nullable=False),
    schema=OWN_SCHEMA,
)
Index(
    "intake_company_id_model_requested_at_idx",
    intake.c.company_id,
    intake.c.model,
    intake.c.requested_at,
    intake.c.request_id,
)

intake_progress = Table(
    "intake_progress",
    metadata,
    Column("only_row", Boolean, primary_key=True, server_default=text("true")),
    timestamp("noticed_until"),
    timestamp("swept_at"),
    Column("checked_id", Text),
    CheckConstraint("only_row", name="only_row"),
    schema=OWN_SCHEMA,
)

retry = Table(
    "retry",
    metadata,
    Column("request_id", Text, primary_key=True),
    Column("company_id", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("failure_kind", Text, nullable=False),
    Column("code", Text, nullable=False),
    Column("reason", Text, nullable=False),
    timestamp("failed_at", required=True),
    Column("retry_at", DateTime(timezone=True), nullable=False),
    schema=OWN_SCHEMA,
)
Index("retry_retry_at_idx", retry.c.retry_at)

dead_letter = Table(
    "dead_letter",
    metadata,
    Column("request_id", Text, primary_key=True),
    Column("company_id", Text, nullable=False),
    Column("batch_id", Text),
    Column("attempts", Integer, nullable=False),
    Column("failure_kind", Text, nullable=False),
    Column("code", Text, nullable=False),
    Column("reason", Text, nullable=False),
    timestamp("dead_at", required=True),
    schema=OWN_SCHEMA,
)
Index("dead_letter_company_id_dead_at_idx", dead_letter.c.company_id, dead_letter.c.dead_at)
Index("dead_letter_dead_at_idx", dead_letter.c.dead_at, dead_letter.c.request_id)

synchronous_request = Table(
    "synchronous_request",
    metadata,
    Column("request_id", Text, primary_key=True),
    Column("company_id", Text, nullable=False),
    Column("asked_by", Text, nullable=False),
    timestamp("asked_at", required=True),
    schema=OWN_SCHEMA,
)

follower = Table(
    "follower",
    metadata,
    Column("request_id", Text, primary_key=True),
    Column("company_id", Text, nullable=False),
    Column("leader_id", Text, nullable=False),
    Column("requested_at", DateTime(timezone=True), nullable=False),
    timestamp("since", required=True),
    schema=OWN_SCHEMA,
)
Index(
    "follower_leader_id_requested_at_idx",
    follower.c.leader_id,
    follower.c.requested_at,
    follower.c.request_id,
)

livedash_act = Table(
    "livedash_act",
    metadata,
    Column("id", Text, primary_key=True),
    Column("timer", Text, nullable=False),
    Column("company_id", Text),
    Column("request_id", Text),
    Column("batch_id", Text),
    Column("is_purchase", Boolean, nullable=False),
    Column("is_duplicate", Boolean, nullable=False),
    timestamp("noticed_at", required=True),
    CheckConstraint("timer IN ('create', 'retry', 'process', 'unknown')", name="timer"),
    schema=OWN_SCHEMA,
)
Index("livedash_act_noticed_at_idx", livedash_act.c.noticed_at)

livedash_watch = Table(
    "livedash_watch",
    metadata,
    Column("only_row", Boolean, primary_key=True, server_default=text("true")),
    Column("checked_id", Text),
    CheckConstraint("only_row", name="only_row"),
    schema=OWN_SCHEMA,
)

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
    Column("synchronous_cost_eur", Double, nullable=False),
    Column("line", Integer, nullable=False),
    *_findings(),
    Column("cost_usd", Double),
    Column("processing_type", Text),
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
