-- name: take_unresolved
UPDATE batch_assets.batch AS b
SET lease_owner = :owner,
    lease_expires_at = clock_timestamp() + make_interval(secs => :lease_seconds),
    fence = b.fence + 1,
    sought_at = coalesce(b.sought_at, clock_timestamp())
FROM (
    SELECT u.id
    FROM batch_assets.batch AS u
    JOIN batch_assets.installation AS i
        ON i.id = u.installation_id OR u.installation_id = 'orphaned'
    WHERE u.state IN ('claimed', 'uploaded')
        AND u.file_pending_since IS NULL
        AND (u.lease_expires_at IS NULL OR u.lease_expires_at < clock_timestamp())
    ORDER BY u.claimed_at, u.id
    LIMIT :limit
    FOR UPDATE OF u SKIP LOCKED
) AS free
WHERE b.id = free.id
RETURNING
    b.id, b.fence, b.account, b.input_file_id, b.claimed_at, b.sought_at, b.absences,
    b.absent_since, b.installation_id = 'orphaned' AS is_orphan

-- name: absent
UPDATE batch_assets.batch AS b
SET absences = b.absences + 1,
    absent_since = coalesce(b.absent_since, clock_timestamp()),
    account = :account,
    lease_owner = NULL,
    lease_expires_at = NULL
WHERE b.id = :batch_id AND b.fence = :fence AND b.state IN ('claimed', 'uploaded')

-- name: foreign_batches
SELECT l.id
FROM public."AIBatchRequest" AS l
WHERE l.status IN ('VALIDATING', 'IN_PROGRESS', 'FINALIZING', 'COMPLETED')
    AND NOT EXISTS (SELECT FROM batch_assets.batch AS b WHERE b.id = l.id)
ORDER BY l."createdAt", l.id

-- name: adopt_foreign
-- No installation id: it is read to the end like ours, but never cancelled and nothing is deleted.
WITH adopted AS (
    INSERT INTO batch_assets.batch
        (id, company_id, state, requests, input_file_id, openai_batch_id, server_status,
        server_status_since, claimed_at, submitted_at)
    SELECT
        l.id, l."companyId", 'submitted',
        (SELECT count(*) FROM public."AIProcessingRequest" AS r WHERE r."batchId" = l.id),
        l."inputFileId", l."openaiBatchId", 'in_progress',
        clock_timestamp(), d.made_at, d.made_at
    FROM public."AIBatchRequest" AS l
    -- here: made_at
    WHERE l.id = :batch_id
    ON CONFLICT DO NOTHING
    RETURNING id, company_id
)
INSERT INTO batch_assets.attempt (batch_id, request_id, company_id)
SELECT adopted.id, r.id, adopted.company_id
FROM adopted
JOIN public."AIProcessingRequest" AS r
    ON r."batchId" = adopted.id AND r."processingStatus" = 'BATCHING_IN_PROGRESS'
