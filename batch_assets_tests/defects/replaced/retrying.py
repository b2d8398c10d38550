"""Sends what failed to the live endpoint at the full price, again and again."""

from openai import APIError, OpenAI
from sqlalchemy import Engine, text

from batch_assets_tests.defects.replaced.creating import body, messages
from batch_assets_tests.defects.replaced.processing import fail, store

# How often a request was tried already is not asked (21), nor whether another run is at it (3).
_FAILED = text("""
    SELECT id, model, "sessionId" AS session_id FROM public."AIProcessingRequest"
    WHERE "processingStatus" = 'PROCESSING_FAILED' ORDER BY "requestedAt" LIMIT 10
""")


def retry_failed(engine: Engine, client: OpenAI) -> None:
    with engine.connect() as connection:
        rows = connection.execute(_FAILED).all()
        bodies = {row.id: body(row.model, messages(connection, row.session_id)) for row in rows}
    for request_id, one in bodies.items():
        try:
            answer = client.chat.completions.create(**one)
        except APIError:
            fail(engine, request_id)
        else:
            store(engine, request_id, answer.model_dump())
