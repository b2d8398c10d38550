"""Asks for the batches in flight, and takes a call that failed for a batch that failed."""

from openai import APIError, OpenAI
from sqlalchemy import Engine, text

_IN_FLIGHT = text("""
    SELECT id, "openaiBatchId" AS openai_batch_id FROM public."AIBatchRequest"
    WHERE status IN ('VALIDATING', 'IN_PROGRESS', 'FINALIZING')
""")
_RECORD = text("""
    UPDATE public."AIBatchRequest"
    SET status = CAST(:status AS public."AIBatchRequestStatus"), "outputFileId" = :output_file_id,
        "errorFileId" = :error_file_id
    WHERE id = :id
""")
_FAIL_BATCH = text("""UPDATE public."AIBatchRequest" SET status = 'FAILED' WHERE id = :id""")
_FAIL_REQUESTS = text("""
    UPDATE public."AIProcessingRequest"
    SET "processingStatus" = 'PROCESSING_FAILED', "batchId" = NULL WHERE "batchId" = :id
""")
_STATUSES = {
    "validating": "VALIDATING",
    "in_progress": "IN_PROGRESS",
    "finalizing": "FINALIZING",
    "completed": "COMPLETED",
    "cancelling": "IN_PROGRESS",
    "cancelled": "CANCELLED",
}
"""Anything else is FAILED, and what FAILED and CANCELLED batches have to show is not read (4)."""


def check_statuses(engine: Engine, client: OpenAI) -> None:
    with engine.connect() as connection:
        batches = connection.execute(_IN_FLIGHT).all()
    for batch in batches:
        try:
            remote = client.batches.retrieve(batch.openai_batch_id)
        except APIError:
            fail_batch(engine, batch.id)  # after several tries: the client repeats it (5)
            continue
        values = {
            "id": batch.id,
            "status": _STATUSES.get(remote.status, "FAILED"),
            "output_file_id": remote.output_file_id,
            "error_file_id": remote.error_file_id,
        }
        with engine.begin() as connection:
            connection.execute(_RECORD, values)


def fail_batch(engine: Engine, batch_id: str) -> None:
    """A batch has failed, and all of its requests with it."""
    with engine.begin() as connection:
        connection.execute(_FAIL_BATCH, {"id": batch_id})
        connection.execute(_FAIL_REQUESTS, {"id": batch_id})
