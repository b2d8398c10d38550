"""What migrations made on LiveDash's tables, and what they found: the one row of `provenance`."""

from sqlalchemy import Boolean, CheckConstraint, Column, Table, Text, text
from sqlalchemy.dialects.postgresql import ARRAY

from batch_assets.store.tables.base import OWN_SCHEMA, metadata, moment

provenance = Table(
    "provenance",
    metadata,
    Column("only_row", Boolean, primary_key=True, server_default=text("true")),
    Column("livedash_made_here", Boolean, nullable=False),
    Column("indexes_made_here", ARRAY(Text), nullable=False),
    Column("others_made_here", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    moment("noted_at", required=True),
    CheckConstraint("only_row", name="only_row"),
    schema=OWN_SCHEMA,
)
"""Survives a downgrade for as long as tables made here stay, so that a later upgrade knows it."""
