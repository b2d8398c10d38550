"""What tests ask LiveDash's rows for, beside what the factories make."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, Row, text

from batch_assets_tests.factories import make_session

_STAGE = text("""
    INSERT INTO public."SessionProcessingStatus" (
        "id", "sessionId", "stage", "status", "errorMessage", "metadata"
    )
    VALUES (
        gen_random_uuid()::text, :session_id, CAST(:stage AS public."ProcessingStage"),
        CAST(:status AS public."ProcessingStatus"), 'of the last time', '{"kept": 1}'
    )
""")
_MODEL = text("""
    WITH named AS (
        INSERT INTO public."AIModel" ("id", "name", "provider", "updatedAt")
        VALUES (gen_random_uuid()::text, :name, 'openai', clock_timestamp())
        RETURNING id
    )
    INSERT INTO public."CompanyAIModel" ("id", "companyId", "aiModelId", "isDefault")
    SELECT gen_random_uuid()::text, :company_id, n.id, :is_default FROM named AS n
""")


def make_stage(
    connection: Connection, session_id: str, status: str, *, stage: str = "AI_ANALYSIS"
) -> None:
    """A session's row of a stage, with a message and metadata of the last time."""
    values = {"session_id": session_id, "stage": stage, "status": status}
    connection.execute(_STAGE, values)


def make_pending_session(connection: Connection, company_id: str, **options: Any) -> str:
    """A session as LiveDash's import leaves it: its analysis is to be done."""
    session_id = make_session(connection, company_id, **options)
    make_stage(connection, session_id, "PENDING")
    return session_id


def make_model(
    connection: Connection, company_id: str, name: str, *, is_default: bool = True
) -> None:
    """A model that a company has chosen."""
    values = {"company_id": company_id, "name": name, "is_default": is_default}
    connection.execute(_MODEL, values)


@dataclass(frozen=True)
class Rows:
    """Looks at LiveDash's tables."""

    engine: Engine

    def request(self, request_id: str) -> Row[Any]:
        return self._one('SELECT * FROM public."AIProcessingRequest" WHERE id = :id', request_id)

    def batch(self, batch_id: str) -> Row[Any]:
        return self._one('SELECT * FROM public."AIBatchRequest" WHERE id = :id', batch_id)

    def session(self, session_id: str) -> Row[Any]:
        return self._one('SELECT * FROM public."Session" WHERE id = :id', session_id)

    def stage(self, session_id: str) -> Row[Any]:
        return self._one(
            'SELECT * FROM public."SessionProcessingStatus"'
            " WHERE \"sessionId\" = :id AND stage = 'AI_ANALYSIS'",
            session_id,
        )

    def statuses(self, *request_ids: str) -> list[str]:
        return [self.request(one).processingStatus for one in request_ids]

    def _one(self, query: str, identifier: str) -> Row[Any]:
        with self.engine.connect() as connection:
            return connection.execute(text(query), {"id": identifier}).one()
