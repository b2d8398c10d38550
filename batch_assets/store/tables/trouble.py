"""What went wrong and is remembered by all runs: suspects, second batches, breakers, pauses."""

from sqlalchemy import (
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

from batch_assets.store.tables.base import OWN_SCHEMA, metadata

_NOW = text("CURRENT_TIMESTAMP")

suspect = Table(
    "suspect",
    metadata,
    Column("request_id", Text, primary_key=True),
    Column("company_id", Text, nullable=False),
    Column("lot", Text, nullable=False),
    Column("root_batch_id", Text, nullable=False),
    Column("found_in", Text, nullable=False),
    Column("suspected_at", DateTime(timezone=True), nullable=False, server_default=_NOW),
    Index(None, "lot"),
    schema=OWN_SCHEMA,
)

duplicate_batch = Table(
    "duplicate_batch",
    metadata,
    Column("openai_batch_id", Text, primary_key=True),
    Column("batch_id", Text, nullable=False),
    Column("estimated_cost_eur", Double, nullable=False),
    Column("found_at", DateTime(timezone=True), nullable=False, server_default=_NOW),
    Column("cancelled_at", DateTime(timezone=True)),
    Index(None, "batch_id"),
    schema=OWN_SCHEMA,
)

live_request = Table(
    "live_request",
    metadata,
    Column("request_id", Text, primary_key=True),
    Column("company_id", Text, nullable=False),
    Column("asked_by", Text, nullable=False),
    Column("asked_at", DateTime(timezone=True), nullable=False, server_default=_NOW),
    schema=OWN_SCHEMA,
)

breaker = Table(
    "breaker",
    metadata,
    Column("operation", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("code", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("retry_at", DateTime(timezone=True)),
    Column("changed_at", DateTime(timezone=True), nullable=False, server_default=_NOW),
    CheckConstraint("state IN ('closed', 'open', 'half_open')", name="state"),
    CheckConstraint("state <> 'open' OR retry_at IS NOT NULL", name="retry"),
    schema=OWN_SCHEMA,
)

scheduler_pause = Table(
    "scheduler_pause",
    metadata,
    Column("only_row", Boolean, primary_key=True, server_default=text("true")),
    Column("failed_runs", Integer, nullable=False, server_default=text("0")),
    Column("until", DateTime(timezone=True)),
    Column("reason", Text, nullable=False, server_default=text("''")),
    Column("reset_at", DateTime(timezone=True)),
    Column("reset_by", Text),
    Column("changed_at", DateTime(timezone=True), nullable=False, server_default=_NOW),
    CheckConstraint("only_row", name="only_row"),
    schema=OWN_SCHEMA,
)
