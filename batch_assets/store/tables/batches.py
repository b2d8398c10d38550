"""Our own tables of batches: what was meant, what is known of the server's side, what went wrong.

`docs/state_machine.md` explains them. No foreign key points to LiveDash's tables: it would put
triggers on them.
"""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from batch_assets.store.tables.base import OWN_SCHEMA, metadata, timestamp


def _count(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default=text("0"))


def _money(name: str) -> Column[float]:
    return Column(name, Double, nullable=False, server_default=text("0"))


installation = Table(
    "installation",
    metadata,
    Column("only_row", Boolean, primary_key=True, server_default=text("true")),
    Column("id", Text, nullable=False),
    Column("system_identifier", Text, nullable=False),
    Column("database_name", Text, nullable=False),
    timestamp("installed_at", required=True),
    timestamp("confirmed_at"),
    Column("confirmed_by", Text),
    timestamp("alone_since"),
    Column("upload_bytes", BigInteger),
    timestamp("upload_bytes_until"),
    Column("incarnation", Text),
    timestamp("incarnation_at"),
    Column("doubt", Text),
    Column("has_orphans", Boolean, nullable=False, server_default=text("false")),
    CheckConstraint("only_row", name="only_row"),
    schema=OWN_SCHEMA,
)

batch = Table(
    "batch",
    metadata,
    Column("id", Text, primary_key=True),
    Column("installation_id", Text),
    Column("company_id", Text, nullable=False),
    Column("model", Text),
    Column("state", Text, nullable=False),
    Column("run_id", Text, nullable=False, server_default=text("''")),
    Column("lease_owner", Text),
    timestamp("lease_expires_at"),
    Column("fence", BigInteger, nullable=False, server_default=text("0")),
    Column("requests", Integer, nullable=False),
    _count("estimated_tokens"),
    _money("estimated_cost_eur"),
    Column("input_bytes", BigInteger),
    Column("input_file_id", Text),
    Column("openai_batch_id", Text),
    Column("output_file_id", Text),
    Column("error_file_id", Text),
    Column("server_status", Text),
    timestamp("server_status_since"),
    Column("server_errors", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    _count("server_answered"),
    _count("absences"),
    timestamp("absent_since"),
    _count("completed"),
    _count("failed"),
    _count("returned"),
    _count("discarded"),
    _count("refused"),
    _count("prompt_tokens"),
    _count("completion_tokens"),
    _money("cost_eur"),
    _money("synchronous_cost_eur"),
    timestamp("claimed_at", required=True),
    timestamp("uploaded_at"),
    timestamp("submitted_at"),
    timestamp("ended_at"),
    timestamp("finalized_at"),
    timestamp("released_at"),
    timestamp("files_deleted_at"),
    Column("kind", Text, nullable=False, server_default=text("'batch'")),
    Column("root_batch_id", Text),
    Column("server_error_lines", ARRAY(Integer), nullable=False, server_default=text("'{}'")),
    timestamp("cancelled_at"),
    Column("read_run_id", Text, nullable=False, server_default=text("''")),
    timestamp("incomplete_since"),
    Column("polls", Integer, nullable=False, server_default=text("0")),
    timestamp("poll_at"),
    Column("output_bytes", BigInteger),
    Column("error_bytes", BigInteger),
    Column("bisection_group", Text),
    timestamp("file_pending_since"),
    _count("unpriced"),
    Column("was_split", Boolean, nullable=False, server_default=text("false")),
    timestamp("retrieved_at"),
    Column("account", Text),
    timestamp("sought_at"),
    Column("price", JSONB),
    Column("cost_usd", Double),
    Column("usd_to_eur", Double),
    Column("server_prompt_tokens", BigInteger),
    Column("server_cached_tokens", BigInteger),
    Column("server_completion_tokens", BigInteger),
    _money("unattributed_usd"),
    _money("unattributed_eur"),
    Column("unattributed_is_estimated", Boolean, nullable=False, server_default=text("false")),
    Column("is_kept", Boolean, nullable=False, server_default=text("false")),
    Column("forecast_p50_seconds", Double),
    Column("forecast_p90_seconds", Double),
    Column("account_name", Text, nullable=False, server_default=text("'default'")),
    CheckConstraint(
        "state IN ('claimed', 'uploaded', 'submitted', 'ended', 'finalized', 'released')",
        name="state",
    ),
    CheckConstraint("(lease_owner IS NULL) = (lease_expires_at IS NULL)", name="lease"),
    CheckConstraint(
        "state <> 'uploaded' OR (input_file_id IS NOT NULL AND uploaded_at IS NOT NULL)",
        name="uploaded",
    ),
    CheckConstraint(
        "state NOT IN ('submitted', 'ended', 'finalized')"
        " OR (openai_batch_id IS NOT NULL AND submitted_at IS NOT NULL"
        " AND server_status IS NOT NULL AND server_status_since IS NOT NULL)",
        name="submitted",
    ),
    CheckConstraint("(ended_at IS NOT NULL) = (state IN ('ended', 'finalized'))", name="ended"),
    CheckConstraint("(finalized_at IS NOT NULL) = (state = 'finalized')", name="finalized"),
    CheckConstraint("(released_at IS NOT NULL) = (state = 'released')", name="released"),
    CheckConstraint("kind IN ('batch', 'synchronous')", name="kind"),
    schema=OWN_SCHEMA,
)
Index(
    "batch_openai_batch_id_key",
    batch.c.openai_batch_id,
    unique=True,
    postgresql_where=batch.c.openai_batch_id.is_not(None),
)
Index(
    "batch_open_idx",
    batch.c.state,
    batch.c.claimed_at,
    postgresql_where=text("state IN ('claimed', 'uploaded', 'submitted', 'ended')"),
)
Index("batch_claimed_at_idx", batch.c.claimed_at)
Index(
    "batch_model_submitted_at_idx",
    batch.c.model,
    batch.c.submitted_at,
    postgresql_where=text(
        "kind = 'batch' AND installation_id IS NOT NULL AND submitted_at IS NOT NULL"
    ),
)
Index("batch_company_id_idx", batch.c.company_id)
Index(
    "batch_root_batch_id_idx",
    batch.c.root_batch_id,
    postgresql_where=batch.c.root_batch_id.is_not(None),
)
Index(
    "batch_finalized_at_idx",
    batch.c.finalized_at,
    postgresql_where=batch.c.finalized_at.is_not(None),
)
Index(
    "batch_released_at_idx",
    batch.c.released_at,
    postgresql_where=batch.c.released_at.is_not(None),
)
Index(
    "batch_not_kept_idx",
    batch.c.claimed_at,
    postgresql_where=text("NOT is_kept"),
)
Index(
    "batch_leftover_idx",
    batch.c.claimed_at,
    batch.c.id,
    postgresql_where=text(
        "state IN ('finalized', 'released') AND installation_id IS NOT NULL"
        " AND input_file_id IS NOT NULL AND files_deleted_at IS NULL"
    ),
)

attempt = Table(
    "attempt",
    metadata,
    Column("batch_id", Text, ForeignKey(batch.c.id), primary_key=True),
    Column("request_id", Text, primary_key=True),
    Column("company_id", Text, nullable=False),
    Column("outcome", Text),
    Column("counted", Boolean, nullable=False, server_default=text("false")),
    Column("failure_kind", Text),
    Column("code", Text),
    Column("reason", Text),
    _money("cost_eur"),
    _money("synchronous_cost_eur"),
    timestamp("ended_at"),
    Column("position", Integer),
    timestamp("called_at"),
    Column("shares_answer_of", Text),
    Column("requeued", Boolean, nullable=False, server_default=text("false")),
    Column("cost_usd", Double),
    Column("prompt_tokens", Integer),
    Column("completion_tokens", Integer),
    Column("cached_tokens", Integer),
    Column("reasoning_tokens", Integer),
    Column("service_tier", Text),
    Column("text_bytes", Integer),
    Column("estimated_cost_eur", Double),
    CheckConstraint(
        "outcome IN ('completed', 'failed', 'unanswered', 'released', 'discarded')",
        name="outcome",
    ),
    CheckConstraint("(outcome IS NULL) = (ended_at IS NULL)", name="ended"),
    schema=OWN_SCHEMA,
)
Index("attempt_request_id_idx", attempt.c.request_id)


def _by_id(name: str) -> Column[object]:
    """Our batches' ids by the server's."""
    return Column(name, JSONB, nullable=False, server_default=text("'{}'"))


search = Table(
    "search",
    metadata,
    Column("account", Text, nullable=False),
    timestamp("began_at"),
    Column("reading", Text, nullable=False),
    Column("after", Text),
    Column("lists_files", Boolean, nullable=False, server_default=text("true")),
    _by_id("files"),
    _by_id("batches"),
    Column("shown_batches", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("shown_files", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    timestamp("anchored_at"),
    Column("account_name", Text, primary_key=True, server_default=text("'default'")),
    CheckConstraint("reading IN ('files', 'batches')", name="reading"),
    schema=OWN_SCHEMA,
)

unknown_batch = Table(
    "unknown_batch",
    metadata,
    Column("remote_id", Text, primary_key=True),
    Column("batch_id", Text, nullable=False),
    timestamp("made_at"),
    timestamp("found_at", required=True),
    timestamp("acknowledged_at"),
    schema=OWN_SCHEMA,
)
Index(
    "unknown_batch_found_at_idx",
    unknown_batch.c.found_at,
    postgresql_where=unknown_batch.c.acknowledged_at.is_(None),
)

bisection_request = Table(
    "bisection_request",
    metadata,
    Column("request_id", Text, primary_key=True),
    Column("company_id", Text, nullable=False),
    Column("bisection_group", Text, nullable=False),
    Column("root_batch_id", Text, nullable=False),
    timestamp("refused_at", required=True),
    Index(None, "bisection_group"),
    schema=OWN_SCHEMA,
)

duplicate_batch = Table(
    "duplicate_batch",
    metadata,
    Column("openai_batch_id", Text, primary_key=True),
    Column("batch_id", Text, nullable=False),
    Column("estimated_cost_eur", Double, nullable=False),
    timestamp("found_at", required=True),
    timestamp("cancelled_at"),
    Column("cost_usd", Double),
    Column("cost_eur", Double),
    Index(None, "batch_id"),
    Index(None, "found_at"),
    schema=OWN_SCHEMA,
)

abandoned_batch = Table(
    "abandoned_batch",
    metadata,
    Column("batch_id", Text, ForeignKey(batch.c.id), primary_key=True),
    timestamp("abandoned_at", required=True),
    Column("polls", Integer, nullable=False, server_default=text("0")),
    timestamp("poll_at"),
    Column("answers", BigInteger, nullable=False, server_default=text("0")),
    Column("wasted_cost_eur", Double, nullable=False, server_default=text("0")),
    timestamp("booked_at"),
    timestamp("read_at"),
    Column("wasted_cost_usd", Double),
    CheckConstraint("read_at IS NULL OR poll_at IS NULL", name="read"),
    Index(
        "abandoned_batch_poll_at_idx",
        "poll_at",
        postgresql_where=text("poll_at IS NOT NULL"),
    ),
    Index(
        "abandoned_batch_booked_at_idx",
        "booked_at",
        postgresql_where=text("booked_at IS NOT NULL"),
    ),
    schema=OWN_SCHEMA,
)
