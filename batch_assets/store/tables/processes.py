"""The processes in which Dagster's runs are: each says every few seconds that it lives."""

from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text

from batch_assets.store.tables.base import OWN_SCHEMA, metadata, moment

run_process = Table(
    "run_process",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("host", Text, primary_key=True),
    Column("pid", Integer, primary_key=True),
    Column("started_ticks", BigInteger, primary_key=True),
    Column("host_name", Text, nullable=False),
    moment("began_at", required=True),
    moment("beat_at", required=True),
    moment("ended_at"),
    moment("cancel_asked_at"),
    moment("given_up_at"),
    Index(None, "beat_at"),
    schema=OWN_SCHEMA,
)
