"""What people watch over time: the figures of each run, the alerts and who has heard of them."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Double,
    Identity,
    Index,
    Table,
    Text,
    false,
)

from batch_assets.domain.metrics import FigureType, figure_types
from batch_assets.store.tables.base import OWN_SCHEMA, metadata, moment


def _figure(name: str, of: FigureType) -> Column[Any]:
    return Column(name, BigInteger if of.is_whole else Double, nullable=of.may_be_unknown)


run_metric = Table(
    "run_metric",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("run_id", Text, nullable=False),
    moment("recorded_at", required=True),
    Column("mode", Text, nullable=False),
    *(_figure(name, of) for name, of in figure_types().items()),
    Index(None, "recorded_at"),
    Index(None, "run_id", unique=True),
    schema=OWN_SCHEMA,
)

alert = Table(
    "alert",
    metadata,
    Column("name", Text, primary_key=True),
    Column("is_raised", Boolean, nullable=False),
    Column("severity", Text, nullable=False),
    Column("summary", Text, nullable=False),
    moment("since", required=True),
    CheckConstraint("severity IN ('WARN', 'ERROR')", name="severity"),
    schema=OWN_SCHEMA,
)

alert_delivery = Table(
    "alert_delivery",
    metadata,
    Column("receiver", Text, primary_key=True),
    Column("alert", Text, primary_key=True),
    Column("since", DateTime(timezone=True), nullable=False),
    moment("claimed_until"),
    moment("delivered_at"),
    Column("refused_by", Text),
    Column("is_open", Boolean, nullable=False, server_default=false()),
    schema=OWN_SCHEMA,
)
