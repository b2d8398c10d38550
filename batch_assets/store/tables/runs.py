"""Our own tables of runs: what they measure, what holds them back, what people watch and choose."""

from dataclasses import fields
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    DateTime,
    Double,
    Identity,
    Index,
    Integer,
    Table,
    Text,
    false,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from batch_assets.domain.estimates import LearntUsage
from batch_assets.domain.former_names import FORMER_NAMES
from batch_assets.domain.metrics import MetricType, metric_types
from batch_assets.store.tables.base import OWN_SCHEMA, metadata, timestamp


def _metric(name: str, of: MetricType) -> Column[Any]:
    return Column(name, BigInteger if of.is_whole else Double, nullable=of.may_be_unknown)


def _former(name: str, now: str, of: MetricType) -> Column[Any]:
    """A metric under its former name, by which dashboards beside Dagster may still ask for it."""
    return Column(name, BigInteger if of.is_whole else Double, Computed(now, persisted=True))


run_metric = Table(
    "run_metric",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("run_id", Text, nullable=False),
    timestamp("recorded_at", required=True),
    Column("mode", Text, nullable=False),
    *(_metric(name, of) for name, of in metric_types().items()),
    *(
        _former(FORMER_NAMES[name], name, of)
        for name, of in metric_types().items()
        if name in FORMER_NAMES
    ),
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
    timestamp("since", required=True),
    CheckConstraint("severity IN ('WARN', 'ERROR')", name="severity"),
    schema=OWN_SCHEMA,
)

alert_delivery = Table(
    "alert_delivery",
    metadata,
    Column("receiver", Text, primary_key=True),
    Column("alert", Text, primary_key=True),
    Column("since", DateTime(timezone=True), nullable=False),
    timestamp("claimed_until"),
    timestamp("delivered_at"),
    Column("refused_by", Text),
    Column("is_open", Boolean, nullable=False, server_default=false()),
    schema=OWN_SCHEMA,
)

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
    timestamp("recorded_at", required=True),
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
    timestamp("since", required=True),
    CheckConstraint(_IMPLEMENTATIONS, name="implementation"),
    schema=OWN_SCHEMA,
)

query_mode = Table(
    "query_mode",
    metadata,
    Column("only_row", Boolean, primary_key=True, server_default=text("true")),
    Column("mode", Text, nullable=False),
    Column("chosen_by", Text, nullable=False),
    timestamp("chosen_at", required=True),
    CheckConstraint("only_row", name="only_row"),
    CheckConstraint("mode IN ('original', 'optimized', 'auto')", name="mode"),
    schema=OWN_SCHEMA,
)

budget = Table(
    "budget",
    metadata,
    Column("company_id", Text, primary_key=True),
    Column("period", Text, primary_key=True),
    Column("amount_eur", Double, nullable=False),
    Column("set_by", Text, nullable=False),
    timestamp("set_at", required=True),
    CheckConstraint("period IN ('day', 'month')", name="period"),
    # NaN is more than infinity to PostgreSQL.
    CheckConstraint("amount_eur >= 0 AND amount_eur < 'Infinity'", name="amount"),
    schema=OWN_SCHEMA,
)
"""A company's; where `company_id` is empty, that of all companies together."""

drain = Table(
    "drain",
    metadata,
    Column("only_row", Boolean, primary_key=True, server_default=text("true")),
    timestamp("began_at", required=True),
    Column("began_by", Text, nullable=False),
    CheckConstraint("only_row", name="only_row"),
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
    timestamp("retry_at"),
    timestamp("changed_at", required=True),
    Column("account_name", Text, primary_key=True, server_default=text("'default'")),
    CheckConstraint("state IN ('closed', 'open', 'half_open')", name="state"),
    CheckConstraint("state <> 'open' OR retry_at IS NOT NULL", name="retry"),
    schema=OWN_SCHEMA,
)

schedule_cooldown = Table(
    "schedule_cooldown",
    metadata,
    Column("only_row", Boolean, primary_key=True, server_default=text("true")),
    Column("failed_runs", Integer, nullable=False, server_default=text("0")),
    timestamp("until"),
    Column("reason", Text, nullable=False, server_default=text("''")),
    timestamp("reset_at"),
    Column("reset_by", Text),
    timestamp("changed_at", required=True),
    CheckConstraint("only_row", name="only_row"),
    schema=OWN_SCHEMA,
)

account_cooldown = Table(
    "account_cooldown",
    metadata,
    Column("until", DateTime(timezone=True), nullable=False),
    Column("reason", Text, nullable=False),
    Column("cooldowns", Integer, nullable=False, server_default=text("1")),
    Column("account_name", Text, primary_key=True, server_default=text("'default'")),
    schema=OWN_SCHEMA,
)

company_account = Table(
    "company_account",
    metadata,
    Column("company_id", Text, primary_key=True),
    Column("account_name", Text, nullable=False),
    Column("assigned_by", Text, nullable=False),
    timestamp("assigned_at", required=True),
    schema=OWN_SCHEMA,
)
"""Companies that another account than the default serves."""

account_look = Table(
    "account_look",
    metadata,
    Column("account_name", Text, primary_key=True),
    Column("incarnation", Text),
    timestamp("incarnation_at"),
    Column("doubt", Text),
    schema=OWN_SCHEMA,
)
"""The default account's is kept with the installation."""

allowance = Table(
    "allowance",
    metadata,
    Column("account", Text, primary_key=True),
    Column("model", Text, primary_key=True),
    Column("most", BigInteger, nullable=False),
    Column("refusals", Integer, nullable=False, server_default=text("1")),
    Column("refused_at", DateTime(timezone=True), nullable=False),
    schema=OWN_SCHEMA,
)

learnt_usage = Table(
    "learnt_usage",
    metadata,
    Column("model", Text, primary_key=True),
    Column("processing_type", Text, primary_key=True),
    Column("answers", BigInteger, nullable=False),
    *(Column(one.name, Double, nullable=False) for one in fields(LearntUsage)[1:]),
    schema=OWN_SCHEMA,
)

model_cooldown = Table(
    "model_cooldown",
    metadata,
    Column("model", Text, primary_key=True),
    Column("until", DateTime(timezone=True), nullable=False),
    Column("reason", Text, nullable=False),
    Column("cooldowns", Integer, nullable=False, server_default=text("1")),
    Column("account_name", Text, primary_key=True, server_default=text("'default'")),
    schema=OWN_SCHEMA,
)

run_process = Table(
    "run_process",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("host", Text, primary_key=True),
    Column("pid", Integer, primary_key=True),
    Column("started_ticks", BigInteger, primary_key=True),
    Column("host_name", Text, nullable=False),
    timestamp("began_at", required=True),
    timestamp("beat_at", required=True),
    timestamp("ended_at"),
    timestamp("cancel_asked_at"),
    timestamp("given_up_at"),
    Index(None, "beat_at"),
    schema=OWN_SCHEMA,
)

run_state = Table(
    "run_state",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("op", Text, primary_key=True),
    Column("state", JSONB, nullable=False),
    timestamp("recorded_at", required=True),
    Index(None, "recorded_at"),
    schema=OWN_SCHEMA,
)

provenance = Table(
    "provenance",
    metadata,
    Column("only_row", Boolean, primary_key=True, server_default=text("true")),
    Column("livedash_made_here", Boolean, nullable=False),
    Column("indexes_made_here", ARRAY(Text), nullable=False),
    Column("others_made_here", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    timestamp("noted_at", required=True),
    CheckConstraint("only_row", name="only_row"),
    schema=OWN_SCHEMA,
)
"""Survives a downgrade for as long as tables made here stay, so that a later upgrade knows it."""
