"""The one MetaData of the project: LiveDash's tables in `public`, ours in `batch_assets`.

And LiveDash's enum types, under Prisma's names and with its values in its order.
"""

from collections.abc import Iterable
from typing import Final

from sqlalchemy import Column, DateTime, MetaData, text
from sqlalchemy.dialects.postgresql import ENUM

from batch_assets.domain.states import LiveDashBatchStatus, RequestStatus

LIVEDASH_SCHEMA: Final = "public"
OWN_SCHEMA: Final = "batch_assets"

# PostgreSQL's own default names, which Prisma uses too, so that a name is never left to chance.
metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        "ck": "%(table_name)s_%(constraint_name)s_check",
    }
)
SESSION_CATEGORIES: Final = (
    "SCHEDULE_HOURS",
    "LEAVE_VACATION",
    "SICK_LEAVE_RECOVERY",
    "SALARY_COMPENSATION",
    "CONTRACT_HOURS",
    "ONBOARDING",
    "OFFBOARDING",
    "WORKWEAR_STAFF_PASS",
    "TEAM_CONTACTS",
    "PERSONAL_QUESTIONS",
    "ACCESS_LOGIN",
    "SOCIAL_QUESTIONS",
    "UNRECOGNIZED_OTHER",
)
PROCESSING_STAGES: Final = (
    "CSV_IMPORT",
    "TRANSCRIPT_FETCH",
    "SESSION_CREATION",
    "AI_ANALYSIS",
    "QUESTION_EXTRACTION",
)


def timestamp(name: str, *, required: bool = False) -> Column[object]:
    """A `timestamptz` column; one that is required is the transaction's time unless it is given."""
    default = text("CURRENT_TIMESTAMP") if required else None
    return Column(name, DateTime(timezone=True), nullable=not required, server_default=default)


def _enum(name: str, labels: Iterable[str]) -> ENUM:
    return ENUM(*map(str, labels), name=name, schema=LIVEDASH_SCHEMA, create_type=False)


company_status_type = _enum("CompanyStatus", ("ACTIVE", "SUSPENDED", "TRIAL", "ARCHIVED"))
sentiment_category_type = _enum("SentimentCategory", ("POSITIVE", "NEUTRAL", "NEGATIVE"))
session_category_type = _enum("SessionCategory", SESSION_CATEGORIES)
ai_request_status_type = _enum("AIRequestStatus", RequestStatus)
ai_batch_request_status_type = _enum("AIBatchRequestStatus", LiveDashBatchStatus)
processing_stage_type = _enum("ProcessingStage", PROCESSING_STAGES)
processing_status_type = _enum(
    "ProcessingStatus", ("PENDING", "IN_PROGRESS", "COMPLETED", "FAILED", "SKIPPED")
)

ENUM_TYPES: Final = (
    company_status_type,
    sentiment_category_type,
    session_category_type,
    ai_request_status_type,
    ai_batch_request_status_type,
    processing_stage_type,
    processing_status_type,
)
