"""What lies between LiveDash and us: requests that ask the same, and what its timers have done."""

from sqlalchemy import Boolean, CheckConstraint, Column, DateTime, Index, Table, Text, text

from batch_assets.store.tables.base import OWN_SCHEMA, metadata, moment

follower = Table(
    "follower",
    metadata,
    Column("request_id", Text, primary_key=True),
    Column("company_id", Text, nullable=False),
    Column("leader_id", Text, nullable=False),
    Column("requested_at", DateTime(timezone=True), nullable=False),
    moment("since", required=True),
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
    Column("is_double", Boolean, nullable=False),
    moment("noticed_at", required=True),
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
