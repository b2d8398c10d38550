-- name: hold
SELECT b.id
FROM batch_assets.batch AS b
WHERE b.id = :batch_id AND b.fence = :fence AND b.state = ANY(:states)
FOR UPDATE

-- part: is_in_batch_of_ended
-- Also a row that LiveDash has put back among those that wait: as long as our attempt is open, nobody
-- else has sent it.
AND CASE CAST(r."processingStatus" AS text)
    WHEN 'BATCHING_IN_PROGRESS' THEN r."batchId" IS NOT DISTINCT FROM ended.batch_id
    WHEN 'PENDING_BATCHING' THEN r."batchId" IS NULL
    ELSE false
END

-- name: return_rows
-- Rows of batches that gave them no answer wait again; they were not paid for and no attempt is
-- counted. They are open as before, and so the stages of their sessions stay in progress. Without request ids: all that have no outcome yet. The states are compared in ways that
-- no index offers: where statistics say that nothing is in progress, the planner would otherwise
-- read the set once for every row, and not each row by its key.
WITH ended AS (
    UPDATE batch_assets.attempt AS a
    SET outcome = 'released', ended_at = CURRENT_TIMESTAMP
    WHERE a.batch_id = ANY(CAST(:batch_ids AS text[]))
        AND (
            CAST(:request_ids AS text[]) IS NULL
            OR a.request_id = ANY(CAST(:request_ids AS text[]))
        )
        AND a.outcome IS NULL
    RETURNING a.batch_id, a.request_id, a.company_id
), moved AS (
    UPDATE public."AIProcessingRequest" AS r
    SET "processingStatus" = 'PENDING_BATCHING', "batchId" = NULL
    FROM ended
    WHERE r.id = ended.request_id
        -- here: is_in_batch_of_ended
    RETURNING r.id, r."sessionId", r.model, r."requestedAt", ended.company_id
), staged AS (
    -- here: stage_in_progress
)
INSERT INTO batch_assets.intake (request_id, company_id, model, requested_at)
SELECT moved.id, moved.company_id, moved.model, moved."requestedAt"
FROM moved
-- here: or_entered_anew
