"""LiveDash's tables that the pipeline touches, as Prisma makes them, under Prisma's names.

They belong to LiveDash (docs: the database contract). Columns carry LiveDash's own camelCase names
as keys, so that a query reads like its rows. A unique of Prisma's is a unique index, not a
constraint, and `updatedAt` has no default: every writer sets it.
"""

from datetime import datetime
from typing import Final

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, Table, Text, text
from sqlalchemy.dialects.postgresql import INET, JSONB, REAL, TIMESTAMP, VARCHAR

from batch_assets.store.tables.base import (
    LIVEDASH_SCHEMA,
    ai_batch_request_status_type,
    ai_request_status_type,
    company_status_type,
    metadata,
    processing_stage_type,
    processing_status_type,
    sentiment_category_type,
    session_category_type,
)

NOT_NEEDED: Final = {"is_needed": False}
"""The `info` of a column that Prisma makes and the pipeline can do without."""


def _id() -> Column[str]:
    return Column("id", Text, primary_key=True)


def _reference(name: str, target: str, *, on_delete: str, nullable: bool = False) -> Column[str]:
    key = ForeignKey(f"{LIVEDASH_SCHEMA}.{target}.id", ondelete=on_delete, onupdate="CASCADE")
    return Column(name, Text, key, nullable=nullable)


def _instant(name: str, *, nullable: bool = False) -> Column[datetime]:
    return Column(name, TIMESTAMP(timezone=True, precision=6), nullable=nullable)


def _instant_now(name: str, *, is_needed: bool = True) -> Column[datetime]:
    return Column(
        name,
        TIMESTAMP(timezone=True, precision=6),
        nullable=False,
        server_default=text("CURRENT_TIMESTAMP"),
        info={} if is_needed else NOT_NEEDED,
    )


company = Table(
    "Company",
    metadata,
    _id(),
    Column("name", VARCHAR(255), nullable=False),
    Column("status", company_status_type, nullable=False, server_default="ACTIVE"),
    Column("csvUrl", Text, nullable=False),
    Column("csvUsername", VARCHAR(255)),
    Column("csvPassword", VARCHAR(255)),
    Column("dashboardOpts", JSONB),
    Column("maxUsers", Integer, nullable=False, server_default=text("10")),
    _instant_now("createdAt"),
    _instant("updatedAt"),
    Index(None, "name"),
    Index(None, "status"),
    schema=LIVEDASH_SCHEMA,
)

session_import = Table(
    "SessionImport",
    metadata,
    _id(),
    _reference("companyId", "Company", on_delete="CASCADE"),
    Column("externalSessionId", Text, nullable=False),
    Column("startTimeRaw", VARCHAR(255), nullable=False),
    Column("endTimeRaw", VARCHAR(255), nullable=False),
    Column("ipAddress", VARCHAR(45)),
    Column("countryCode", VARCHAR(3)),
    Column("language", VARCHAR(10)),
    Column("messagesSent", Integer),
    Column("sentimentRaw", VARCHAR(50)),
    Column("escalatedRaw", VARCHAR(50)),
    Column("forwardedHrRaw", VARCHAR(50)),
    Column("fullTranscriptUrl", Text),
    Column("avgResponseTimeSeconds", REAL),
    Column("tokens", Integer),
    Column("tokensEur", REAL),
    Column("category", VARCHAR(255)),
    Column("initialMessage", Text),
    Column("rawTranscriptContent", Text),
    _instant_now("createdAt"),
    Index(
        "SessionImport_companyId_externalSessionId_key",
        "companyId",
        "externalSessionId",
        unique=True,
    ),
    Index(None, "companyId"),
    Index(None, "companyId", "createdAt"),
    schema=LIVEDASH_SCHEMA,
)
"""Where LiveDash's sessions come from. The pipeline never looks at it."""

session = Table(
    "Session",
    metadata,
    _id(),
    _reference("companyId", "Company", on_delete="CASCADE"),
    _reference("importId", "SessionImport", on_delete="SET NULL", nullable=True),
    _instant("startTime"),
    _instant("endTime"),
    Column("ipAddress", INET),
    Column("country", VARCHAR(3)),
    Column("fullTranscriptUrl", Text),
    Column("avgResponseTime", REAL),
    Column("initialMsg", Text),
    Column("language", VARCHAR(10)),
    Column("messagesSent", Integer),
    Column("sentiment", sentiment_category_type),
    Column("escalated", Boolean),
    Column("forwardedHr", Boolean),
    Column("category", session_category_type),
    Column("summary", Text),
    _instant_now("createdAt"),
    _instant("updatedAt"),
    Index("Session_importId_key", "importId", unique=True),
    Index(None, "companyId", "startTime"),
    Index(None, "companyId", "sentiment"),
    Index(None, "companyId", "category"),
    Index(None, "companyId", "escalated"),
    Index(None, "companyId", "forwardedHr"),
    Index(None, "companyId", "language"),
    Index(None, "companyId", "messagesSent"),
    Index(None, "companyId", "avgResponseTime"),
    schema=LIVEDASH_SCHEMA,
)

message = Table(
    "Message",
    metadata,
    _id(),
    _reference("sessionId", "Session", on_delete="CASCADE"),
    _instant("timestamp", nullable=True),
    Column("role", VARCHAR(50), nullable=False),
    Column("content", Text, nullable=False),
    Column("order", Integer, nullable=False),
    _instant_now("createdAt"),
    Index("Message_sessionId_order_key", "sessionId", "order", unique=True),
    Index(None, "sessionId", "order"),
    Index(None, "sessionId", "timestamp"),
    Index(None, "sessionId", "role"),
    schema=LIVEDASH_SCHEMA,
)

ai_batch_request = Table(
    "AIBatchRequest",
    metadata,
    _id(),
    _reference("companyId", "Company", on_delete="RESTRICT"),
    Column("openaiBatchId", Text, nullable=False),
    Column("inputFileId", Text, nullable=False),
    Column("outputFileId", Text),
    Column("errorFileId", Text),
    Column("status", ai_batch_request_status_type, nullable=False, server_default="PENDING"),
    _instant_now("createdAt"),
    _instant("completedAt", nullable=True),
    _instant("processedAt", nullable=True),
    Index("AIBatchRequest_openaiBatchId_key", "openaiBatchId", unique=True),
    Index(None, "companyId", "status"),
    schema=LIVEDASH_SCHEMA,
)

ai_processing_request = Table(
    "AIProcessingRequest",
    metadata,
    _id(),
    _reference("sessionId", "Session", on_delete="CASCADE"),
    Column("openaiRequestId", VARCHAR(255)),
    Column("model", VARCHAR(100), nullable=False),
    Column("serviceTier", VARCHAR(50)),
    Column("systemFingerprint", VARCHAR(255)),
    Column("promptTokens", Integer, nullable=False),
    Column("completionTokens", Integer, nullable=False),
    Column("totalTokens", Integer, nullable=False),
    Column("cachedTokens", Integer),
    Column("audioTokensPrompt", Integer),
    Column("reasoningTokens", Integer),
    Column("audioTokensCompletion", Integer),
    Column("acceptedPredictionTokens", Integer),
    Column("rejectedPredictionTokens", Integer),
    Column("promptTokenCost", REAL, nullable=False),
    Column("completionTokenCost", REAL, nullable=False),
    Column("totalCostEur", REAL, nullable=False),
    Column("processingType", VARCHAR(100), nullable=False),
    Column("success", Boolean, nullable=False),
    Column("errorMessage", Text),
    _instant_now("requestedAt"),
    _instant("completedAt", nullable=True),
    Column(
        "processingStatus",
        ai_request_status_type,
        nullable=False,
        server_default="PENDING_BATCHING",
    ),
    _reference("batchId", "AIBatchRequest", on_delete="SET NULL", nullable=True),
    Index(None, "sessionId"),
    Index(None, "sessionId", "requestedAt"),
    Index(None, "requestedAt"),
    Index(None, "model"),
    Index(None, "success", "requestedAt"),
    Index(None, "processingStatus"),
    schema=LIVEDASH_SCHEMA,
)

_requests = ai_processing_request.c
OPTIMISATION_INDEXES: Final = (
    Index(None, _requests.processingStatus, _requests.requestedAt, postgresql_concurrently=True),
    Index(None, _requests.batchId, postgresql_concurrently=True),
    Index(None, _requests.processingStatus, _requests.batchId, postgresql_concurrently=True),
)
"""The three that the optimisation added: a LiveDash from before it lacks them."""

ai_model = Table(
    "AIModel",
    metadata,
    _id(),
    Column("name", VARCHAR(100), nullable=False),
    Column("provider", VARCHAR(50), nullable=False),
    Column("maxTokens", Integer),
    Column("isActive", Boolean, nullable=False, server_default=text("true")),
    _instant_now("createdAt"),
    _instant("updatedAt"),
    Index("AIModel_name_key", "name", unique=True),
    schema=LIVEDASH_SCHEMA,
)

ai_model_pricing = Table(
    "AIModelPricing",
    metadata,
    _id(),
    _reference("aiModelId", "AIModel", on_delete="CASCADE"),
    Column("promptTokenCost", REAL, nullable=False),
    Column("completionTokenCost", REAL, nullable=False),
    _instant("effectiveFrom"),
    _instant("effectiveUntil", nullable=True),
    _instant_now("createdAt"),
    schema=LIVEDASH_SCHEMA,
)

company_ai_model = Table(
    "CompanyAIModel",
    metadata,
    _id(),
    _reference("companyId", "Company", on_delete="CASCADE"),
    _reference("aiModelId", "AIModel", on_delete="CASCADE"),
    Column("isDefault", Boolean, nullable=False, server_default=text("false")),
    _instant_now("createdAt", is_needed=False),
    Index("CompanyAIModel_companyId_aiModelId_key", "companyId", "aiModelId", unique=True),
    schema=LIVEDASH_SCHEMA,
)

session_processing_status = Table(
    "SessionProcessingStatus",
    metadata,
    _id(),
    _reference("sessionId", "Session", on_delete="CASCADE"),
    Column("stage", processing_stage_type, nullable=False),
    Column("status", processing_status_type, nullable=False, server_default="PENDING"),
    _instant("startedAt", nullable=True),
    _instant("completedAt", nullable=True),
    Column("errorMessage", Text),
    Column("retryCount", Integer, nullable=False, server_default=text("0")),
    Column("metadata", JSONB),
    Index("SessionProcessingStatus_sessionId_stage_key", "sessionId", "stage", unique=True),
    schema=LIVEDASH_SCHEMA,
)

question = Table(
    "Question",
    metadata,
    _id(),
    Column("content", Text, nullable=False),
    _instant_now("createdAt", is_needed=False),
    Index("Question_content_key", "content", unique=True),
    schema=LIVEDASH_SCHEMA,
)

session_question = Table(
    "SessionQuestion",
    metadata,
    _id(),
    _reference("sessionId", "Session", on_delete="CASCADE"),
    _reference("questionId", "Question", on_delete="RESTRICT"),
    Column("order", Integer, nullable=False),
    _instant_now("createdAt", is_needed=False),
    Index("SessionQuestion_sessionId_questionId_key", "sessionId", "questionId", unique=True),
    Index("SessionQuestion_sessionId_order_key", "sessionId", "order", unique=True),
    schema=LIVEDASH_SCHEMA,
)


def _prisma_index(table: Table, *columns: str) -> Index:
    return Index(None, *(table.c[column] for column in columns), postgresql_concurrently=True)


PRISMA_INDEXES: Final = (
    _prisma_index(ai_model, "name"),
    _prisma_index(ai_model, "provider", "isActive"),
    _prisma_index(ai_model_pricing, "aiModelId", "effectiveFrom"),
    _prisma_index(ai_model_pricing, "effectiveFrom", "effectiveUntil"),
    _prisma_index(company_ai_model, "companyId", "isDefault"),
    _prisma_index(session_processing_status, "sessionId"),
    _prisma_index(session_processing_status, "stage", "status"),
    _prisma_index(session_processing_status, "status", "startedAt"),
    _prisma_index(session_question, "questionId"),
    _prisma_index(session_question, "sessionId"),
)
"""Indexes that LiveDash has and the pipeline does without."""

LIVEDASH_TABLES: Final = (
    company,
    session,
    message,
    ai_batch_request,
    ai_processing_request,
    ai_model,
    ai_model_pricing,
    company_ai_model,
    session_processing_status,
    question,
    session_question,
)
"""Those that the pipeline touches, each after those of them that it refers to."""
