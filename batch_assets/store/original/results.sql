-- name: rows_of
-- A request that was deleted with its session has no type any more, but was a row of the batch.
SELECT a.request_id, r."processingType" AS processing_type
FROM batch_assets.attempt AS a
LEFT JOIN public."AIProcessingRequest" AS r ON r.id = a.request_id
WHERE a.batch_id = :batch_id AND a.request_id = ANY(:request_ids)

-- name: clear_suspects
-- The server took the group, or a row of it has found its end: what was refused and waits stays in its
-- group.
DELETE FROM batch_assets.bisection_request AS q
USING batch_assets.batch AS b, batch_assets.attempt AS a
WHERE b.id = :batch_id
    AND b.root_batch_id IS NOT NULL
    AND a.batch_id = b.id
    AND q.request_id = a.request_id
    AND (
        b.server_status <> 'failed'
        OR (a.outcome <> 'unanswered' AND a.failure_kind IS DISTINCT FROM 'server')
    )

-- name: finalized
UPDATE batch_assets.batch AS b
SET state = 'finalized',
    finalized_at = clock_timestamp(),
    returned = b.returned + :returned,
    -- here: unattributed
    lease_owner = NULL,
    lease_expires_at = NULL
WHERE b.id = :batch_id

-- name: livedash_finalized
-- Every row has left the batch: only now LiveDash sees how it has ended. The server's clock may be
-- ahead of the database's: no batch is read before it has ended.
UPDATE public."AIBatchRequest" AS l
SET status = CASE
        WHEN b.kind = 'synchronous' OR coalesce(b.output_file_id, b.error_file_id) IS NOT NULL
        THEN CAST('PROCESSED' AS public."AIBatchRequestStatus")
        WHEN b.server_status IN ('cancelled', 'lost', 'abandoned') THEN 'CANCELLED'
        ELSE 'FAILED'
    END,
    "completedAt" = CASE
        WHEN b.kind = 'synchronous' THEN greatest(CURRENT_TIMESTAMP, l."createdAt")
        ELSE l."completedAt"
    END,
    "processedAt" = CASE
        WHEN b.kind = 'synchronous' OR coalesce(b.output_file_id, b.error_file_id) IS NOT NULL
        THEN greatest(CURRENT_TIMESTAMP, l."createdAt", l."completedAt")
    END
FROM batch_assets.batch AS b
WHERE l.id = :batch_id AND b.id = l.id AND l.status NOT IN ('PROCESSED', 'FAILED', 'CANCELLED')

-- name: deleted
UPDATE batch_assets.batch AS b
SET files_deleted_at = clock_timestamp()
WHERE b.id = :batch_id AND b.files_deleted_at IS NULL

-- name: due_retries
SELECT f.request_id
FROM batch_assets.retry AS f
WHERE f.retry_at <= statement_timestamp()
    -- here: not_put_back
    AND NOT (
        -- here: is_left_to_flex
    )
ORDER BY f.retry_at, f.request_id
LIMIT :limit

-- name: sessions
SELECT DISTINCT r."sessionId"
FROM public."AIProcessingRequest" AS r
WHERE r.id = ANY(CAST(:request_ids AS text[]))

-- name: requeue_row
-- A row that LiveDash moved meanwhile is no longer ours to retry: only its entry goes. One that it has
-- put back among those that wait is left to the look at what LiveDash did.
WITH due AS (
    DELETE FROM batch_assets.retry AS f
    WHERE f.request_id = :request_id
    RETURNING f.request_id, f.company_id
), moved AS (
    UPDATE public."AIProcessingRequest" AS r
    SET "processingStatus" = 'PENDING_BATCHING', "completedAt" = NULL
    FROM due
    WHERE r.id = due.request_id
        AND r."processingStatus" = 'BATCHING_IN_PROGRESS'
        AND r."batchId" IS NULL
    RETURNING r.id, r."sessionId", r.model, r."requestedAt", due.company_id
), staged AS (
    -- here: stage_in_progress
)
INSERT INTO batch_assets.intake (request_id, company_id, model, requested_at)
SELECT moved.id, moved.company_id, moved.model, moved."requestedAt"
FROM moved
-- here: or_entered_anew
