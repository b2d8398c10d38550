-- name: companies
-- Whatever their status, and those that are gone but have left something in the intake.
SELECT c.id FROM public."Company" AS c
UNION
SELECT i.company_id FROM batch_assets.intake AS i
ORDER BY 1

-- name: forget_gone
-- What LiveDash took back, deleted, changed or finished itself no longer waits as it was noticed.
DELETE FROM batch_assets.intake AS i
WHERE i.company_id = :company_id
    AND NOT EXISTS (
        SELECT
        FROM public."AIProcessingRequest" AS r
        JOIN public."Session" AS s ON s.id = r."sessionId"
        WHERE r.id = i.request_id
            AND s."companyId" = i.company_id
            AND r.model = i.model
            AND r."processingStatus" = 'PENDING_BATCHING'
            AND r."batchId" IS NULL
            -- here: is_fresh
    )

-- name: unnoticed
-- The oldest of what waits and was not noticed, each with the open request that asks the same. What
-- left an open attempt behind is still in its batch, whatever LiveDash says.
SELECT
    r.id AS request_id, s.id AS session_id, s."companyId" AS company_id, r.model,
    r."processingType" AS processing_type,
    0 AS message_count,
    0 AS content_bytes,
    -- here: leader_id
FROM public."Session" AS s
JOIN public."AIProcessingRequest" AS r ON r."sessionId" = s.id
WHERE s."companyId" = :company_id
    AND r."processingStatus" = 'PENDING_BATCHING'
    AND r."batchId" IS NULL
    -- here: is_fresh
    AND NOT EXISTS (SELECT FROM batch_assets.intake AS i WHERE i.request_id = r.id)
    AND NOT EXISTS (
        SELECT FROM batch_assets.attempt AS a WHERE a.request_id = r.id AND a.outcome IS NULL
    )
    -- here: stage_is_free
ORDER BY r."requestedAt", r.id
LIMIT :limit

-- name: lock_free
-- Those of some requests that nobody else has locked.
SELECT r.id
FROM public."AIProcessingRequest" AS r
WHERE r.id = ANY(CAST(:request_ids AS text[]))
FOR NO KEY UPDATE SKIP LOCKED

-- name: notice_pending
-- Its session's stage says so from now on, if it did not.
WITH moved AS (
    SELECT r.id, r."sessionId", s."companyId" AS company_id, r.model, r."requestedAt"
    FROM public."AIProcessingRequest" AS r
    JOIN public."Session" AS s ON s.id = r."sessionId"
    WHERE r.id = ANY(CAST(:request_ids AS text[]))
), staged AS (
    -- here: stage_in_progress
)
INSERT INTO batch_assets.intake (request_id, company_id, model, requested_at)
SELECT moved.id, moved.company_id, moved.model, moved."requestedAt"
FROM moved
ON CONFLICT (request_id) DO NOTHING

-- name: stage_waiting
-- A stage that LiveDash has put back while its request waits.
WITH moved AS (
    SELECT r."sessionId"
    FROM batch_assets.intake AS i
    JOIN public."AIProcessingRequest" AS r ON r.id = i.request_id
    JOIN public."SessionProcessingStatus" AS p
        ON p."sessionId" = r."sessionId" AND p.stage = 'AI_ANALYSIS' AND p.status <> 'IN_PROGRESS'
    WHERE i.company_id = :company_id
    FOR NO KEY UPDATE OF p SKIP LOCKED
)
-- here: stage_in_progress

-- name: pending_of_company
SELECT
    count(*) AS requests,
    coalesce(extract(epoch FROM clock_timestamp() - min(i.requested_at)), 0)::float8
        AS oldest_wait_seconds,
    coalesce(extract(epoch FROM min(i.requested_at)), 0)::float8 AS oldest
FROM batch_assets.intake AS i
WHERE i.company_id = :company_id
    AND coalesce(
        (
            SELECT g.account_name
            FROM batch_assets.company_account AS g
            WHERE g.company_id = :company_id
        ),
        'default'
    ) = :account_name
