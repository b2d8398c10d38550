"""Creates batches: read, upload, create, and only then write down that it was done."""

import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from openai import OpenAI
from sqlalchemy import Connection, Engine, text

Messages = Sequence[Mapping[str, str]]

AT_MOST = 1_000
"""Requests that go into a batch."""

_ACTIVE = text("""SELECT id FROM public."Company" WHERE status = 'ACTIVE' ORDER BY id""")
_PENDING = text("""
    SELECT r.id, r.model, r."sessionId" AS session_id FROM public."AIProcessingRequest" AS r
    JOIN public."Session" AS s ON s.id = r."sessionId"
    WHERE s."companyId" = :company_id AND r."processingStatus" = 'PENDING_BATCHING'
        AND r."batchId" IS NULL
    ORDER BY r."requestedAt" LIMIT :most
""")
_MESSAGES = text("""
    SELECT role, content FROM public."Message" WHERE "sessionId" = :session_id ORDER BY "order"
""")
_INSERT = text("""
    INSERT INTO public."AIBatchRequest" (id, "companyId", "openaiBatchId", "inputFileId", status)
    VALUES (:id, :company_id, :openai_batch_id, :input_file_id, 'VALIDATING')
""")
_MARK = text("""
    UPDATE public."AIProcessingRequest"
    SET "processingStatus" = 'BATCHING_IN_PROGRESS', "batchId" = :batch_id WHERE id = ANY(:ids)
""")


def active_companies(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        return list(connection.execute(_ACTIVE).scalars())


def create_batch(engine: Engine, client: OpenAI, company_id: str) -> None:
    """One batch of a company's oldest requests, if it has any, in one long transaction (23)."""
    with engine.begin() as connection:
        rows = connection.execute(_PENDING, {"company_id": company_id, "most": AT_MOST}).all()
        bodies = {row.id: body(row.model, messages(connection, row.session_id)) for row in rows}
        if bodies:
            submit(connection, client, company_id, bodies)


def submit(
    connection: Connection, client: OpenAI, company_id: str, bodies: Mapping[str, Mapping[str, Any]]
) -> None:
    """Upload and create a batch of these bodies by request; then record it (1, 2, 3)."""
    file = client.files.create(file=("batch.jsonl", _jsonl(bodies)), purpose="batch")
    batch = client.batches.create(
        input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
    )
    ids = {
        "id": str(uuid.uuid4()),
        "company_id": company_id,
        "openai_batch_id": batch.id,
        "input_file_id": file.id,
    }
    connection.execute(_INSERT, ids)
    connection.execute(_MARK, {"batch_id": ids["id"], "ids": list(bodies)})


def messages(connection: Connection, session_id: str) -> Messages:
    """A session's conversation, which may well be empty (14)."""
    rows = connection.execute(_MESSAGES, {"session_id": session_id}).all()
    return [{"role": row.role, "content": row.content} for row in rows]


def body(model: str, conversation: Messages) -> dict[str, Any]:
    lines = "\n".join(f"{message['role']}: {message['content']}" for message in conversation)
    return {
        "model": model,
        "messages": [
            {"role": "system", "content": "Analyse this conversation and answer in JSON."},
            {"role": "user", "content": lines},
        ],
        "temperature": 0.1,
        "max_tokens": 1_000,
    }


def _jsonl(bodies: Mapping[str, Mapping[str, Any]]) -> bytes:
    line = {"method": "POST", "url": "/v1/chat/completions"}
    lines = [json.dumps({"custom_id": key} | line | {"body": one}) for key, one in bodies.items()]
    return "\n".join(lines).encode()
