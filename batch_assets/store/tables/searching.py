"""What is known of the server's lists: how far they were read, and what they show of others."""

from sqlalchemy import ARRAY, Boolean, CheckConstraint, Column, Index, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB

from batch_assets.store.tables.base import OWN_SCHEMA, metadata, moment


def _by_id(name: str) -> Column[object]:
    """Our batches' ids by the server's."""
    return Column(name, JSONB, nullable=False, server_default=text("'{}'"))


search = Table(
    "search",
    metadata,
    Column("only_row", Boolean, primary_key=True, server_default=text("true")),
    Column("account", Text, nullable=False),
    moment("began_at"),
    Column("reading", Text, nullable=False),
    Column("after", Text),
    Column("lists_files", Boolean, nullable=False, server_default=text("true")),
    _by_id("files"),
    _by_id("batches"),
    Column("shown_batches", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("shown_files", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    moment("anchored_at"),
    CheckConstraint("only_row", name="only_row"),
    CheckConstraint("reading IN ('files', 'batches')", name="reading"),
    schema=OWN_SCHEMA,
)

unknown_batch = Table(
    "unknown_batch",
    metadata,
    Column("remote_id", Text, primary_key=True),
    Column("batch_id", Text, nullable=False),
    moment("made_at"),
    moment("found_at", required=True),
    moment("acknowledged_at"),
    schema=OWN_SCHEMA,
)
Index(
    "unknown_batch_found_at_idx",
    unknown_batch.c.found_at,
    postgresql_where=unknown_batch.c.acknowledged_at.is_(None),
)
