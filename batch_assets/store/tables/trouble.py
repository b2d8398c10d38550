"""What went wrong and is remembered by all runs: suspects, second batches, breakers, pauses."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Double,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    text,
)

from batch_assets.store.tables.base import OWN_SCHEMA, metadata, moment
from batch_assets.store.tables.own import batch

suspect = Table(
    "suspect",
    metadata,
    Column("request_id", Text, primary_key=True),
    Column("company_id", Text, nullable=False),
    Column("lot", Text, nullable=False),
    Column("root_batch_id", Text, nullable=False),
    moment("suspected_at", required=True),
    Index(None, "lot"),
    schema=OWN_SCHEMA,
)

duplicate_batch = Table(
    "duplicate_batch",
    metadata,
    Column("openai_batch_id", Text, primary_key=True),
    Column("batch_id", Text, nullable=False),
    Column("estimated_cost_eur", Double, nullable=False),
    moment("found_at", required=True),
    moment("cancelled_at"),
    Index(None, "batch_id"),
    Index(None, "found_at"),
    schema=OWN_SCHEMA,
)

abandoned_batch = Table(
    "abandoned_batch",
    metadata,
    Column("batch_id", Text, ForeignKey(batch.c.id), primary_key=True),
    moment("abandoned_at", required=True),
    Column("looks", Integer, nullable=False, server_default=text("0")),
    moment("look_at"),
    Column("answers", BigInteger, nullable=False, server_default=text("0")),
    Column("wasted_cost_eur", Double, nullable=False, server_default=text("0")),
    moment("booked_at"),
    moment("read_at"),
    CheckConstraint("read_at IS NULL OR look_at IS NULL", name="read"),
    Index(
        "abandoned_batch_look_at_idx",
        "look_at",
        postgresql_where=text("look_at IS NOT NULL"),
    ),
    Index(
        "abandoned_batch_booked_at_idx",
        "booked_at",
        postgresql_where=text("booked_at IS NOT NULL"),
    ),
    schema=OWN_SCHEMA,
)

live_request = Table(
    "live_request",
    metadata,
    Column("request_id", Text, primary_key=True),
    Column("company_id", Text, nullable=False),
    Column("asked_by", Text, nullable=False),
    moment("asked_at", required=True),
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
    moment("retry_at"),
    moment("changed_at", required=True),
    CheckConstraint("state IN ('closed', 'open', 'half_open')", name="state"),
    CheckConstraint("state <> 'open' OR retry_at IS NOT NULL", name="retry"),
    schema=OWN_SCHEMA,
)

scheduler_pause = Table(
    "scheduler_pause",
    metadata,
    Column("only_row", Boolean, primary_key=True, server_default=text("true")),
    Column("failed_runs", Integer, nullable=False, server_default=text("0")),
    moment("until"),
    Column("reason", Text, nullable=False, server_default=text("''")),
    moment("reset_at"),
    Column("reset_by", Text),
    moment("changed_at", required=True),
    CheckConstraint("only_row", name="only_row"),
    schema=OWN_SCHEMA,
)

account_pause = Table(
    "account_pause",
    metadata,
    Column("only_row", Boolean, primary_key=True, server_default=text("true")),
    Column("until", DateTime(timezone=True), nullable=False),
    Column("reason", Text, nullable=False),
    Column("rests", Integer, nullable=False, server_default=text("1")),
    CheckConstraint("only_row", name="only_row"),
    schema=OWN_SCHEMA,
)
