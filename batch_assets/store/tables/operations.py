"""How the operations on the database fared, and what an operator has chosen for all runs."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    Identity,
    Index,
    Table,
    Text,
    text,
)

from batch_assets.store.tables.base import OWN_SCHEMA, metadata, moment

_IMPLEMENTATIONS = "implementation IN ('original', 'optimized')"

operation_run = Table(
    "operation_run",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("run_id", Text, nullable=False),
    Column("operation", Text, nullable=False),
    Column("implementation", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("calls", BigInteger, nullable=False),
    Column("failures", BigInteger, nullable=False),
    Column("fallbacks", BigInteger, nullable=False),
    Column("seconds", Double, nullable=False),
    Column("statements", BigInteger, nullable=False),
    Column("rows", BigInteger, nullable=False),
    moment("recorded_at", required=True),
    CheckConstraint(_IMPLEMENTATIONS, name="implementation"),
    CheckConstraint("purpose IN ('work', 'probe')", name="purpose"),
    Index(None, "operation", "implementation", "recorded_at"),
    Index(None, "recorded_at"),
    schema=OWN_SCHEMA,
)

operation_choice = Table(
    "operation_choice",
    metadata,
    Column("operation", Text, primary_key=True),
    Column("implementation", Text, nullable=False),
    Column("reason", Text, nullable=False),
    moment("since", required=True),
    CheckConstraint(_IMPLEMENTATIONS, name="implementation"),
    schema=OWN_SCHEMA,
)

query_mode = Table(
    "query_mode",
    metadata,
    Column("only_row", Boolean, primary_key=True, server_default=text("true")),
    Column("mode", Text, nullable=False),
    Column("chosen_by", Text, nullable=False),
    moment("chosen_at", required=True),
    CheckConstraint("only_row", name="only_row"),
    CheckConstraint("mode IN ('original', 'optimized', 'auto')", name="mode"),
    schema=OWN_SCHEMA,
)

drain = Table(
    "drain",
    metadata,
    Column("only_row", Boolean, primary_key=True, server_default=text("true")),
    moment("began_at", required=True),
    Column("began_by", Text, nullable=False),
    CheckConstraint("only_row", name="only_row"),
    schema=OWN_SCHEMA,
)
