"""Reads the output file of completed batches, line by line; what fails on the way is swallowed."""

import json
from typing import Any

from openai import OpenAI
from sqlalchemy import Engine, text
from sqlalchemy.exc import DataError, SQLAlchemyError

from batch_assets_tests.defects.replaced.checking import fail_batch

# A batch without an output file is not among them (9), nor one of a suspended company (12).
_COMPLETED = text("""
    SELECT b.id, b."outputFileId" AS output_file_id FROM public."AIBatchRequest" AS b
    JOIN public."Company" AS c ON c.id = b."companyId"
    WHERE b.status = 'COMPLETED' AND b."outputFileId" IS NOT NULL AND c.status = 'ACTIVE'
""")
_PROCESSED = text("""UPDATE public."AIBatchRequest" SET status = 'PROCESSED' WHERE id = :id""")
_STORE_SESSION = text("""
    UPDATE public."Session" AS s
    SET sentiment = CAST(:sentiment AS public."SentimentCategory"), summary = :summary,
        category = CAST(:category AS public."SessionCategory"), language = :language
    FROM public."AIProcessingRequest" AS r WHERE r.id = :id AND s.id = r."sessionId"
""")
# No cost is written (6).
_STORE_REQUEST = text("""
    UPDATE public."AIProcessingRequest"
    SET "processingStatus" = 'PROCESSING_COMPLETE', success = true, "promptTokens" = :prompt,
        "completionTokens" = :completion, "totalTokens" = :total
    WHERE id = :id
""")
_FAIL_REQUEST = text("""
    UPDATE public."AIProcessingRequest"
    SET "processingStatus" = 'PROCESSING_FAILED', "errorMessage" = 'Unknown error' WHERE id = :id
""")


def process_results(engine: Engine, client: OpenAI) -> None:
    with engine.connect() as connection:
        batches = connection.execute(_COMPLETED).all()
    for batch in batches:
        for line in client.files.content(batch.output_file_id).text.splitlines():
            result = json.loads(line)
            try:
                store(engine, result["custom_id"], result["response"]["body"])
            except SQLAlchemyError:
                continue  # one line less, and nobody is told (24)
        try:
            with engine.begin() as connection:
                connection.execute(_PROCESSED, {"id": batch.id})
        except SQLAlchemyError:
            fail_batch(engine, batch.id)  # with everything that was stored (25)


def store(engine: Engine, request_id: str, body: dict[str, Any]) -> None:
    """Store one answer, or that it was not understood."""
    try:
        answer = json.loads(body["choices"][0]["message"]["content"])
        names = ("sentiment", "summary", "category", "language")
        with engine.begin() as connection:
            connection.execute(
                _STORE_SESSION, {"id": request_id} | {name: answer[name] for name in names}
            )
            connection.execute(
                _STORE_REQUEST,
                {
                    "prompt": body["usage"]["prompt_tokens"],
                    "completion": body["usage"]["completion_tokens"],
                    "total": body["usage"]["total_tokens"],
                    "id": request_id,
                },
            )
    except (KeyError, ValueError, DataError):
        fail(engine, request_id)


def fail(engine: Engine, request_id: str) -> None:
    """Note that a request has failed, and not why (16)."""
    with engine.begin() as connection:
        connection.execute(_FAIL_REQUEST, {"id": request_id})
