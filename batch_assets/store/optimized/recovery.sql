-- name: absent
UPDATE batch_assets.batch AS b
SET absences = b.absences + 1,
    absent_since = coalesce(b.absent_since, clock_timestamp()),
    lease_owner = NULL,
    lease_expires_at = NULL
FROM unnest(CAST(:batch_ids AS text[]), CAST(:fences AS bigint[])) AS g (id, fence)
WHERE b.id = g.id AND b.fence = g.fence AND b.state IN ('claimed', 'uploaded')

-- name: adopt_foreign
-- No installation id: they are read to the end like ours, but never cancelled and nothing of them
-- is deleted.
WITH adopted AS (
    INSERT INTO batch_assets.batch
        (id, company_id, state, requests, input_file_id, openai_batch_id, server_status,
        server_status_since, claimed_at, submitted_at)
    SELECT
        l.id, l."companyId", 'submitted',
        (SELECT count(*) FROM public."AIProcessingRequest" AS r WHERE r."batchId" = l.id),
        l."inputFileId", l."openaiBatchId", 'in_progress',
        clock_timestamp(), l."createdAt", l."createdAt"
    FROM public."AIBatchRequest" AS l
    WHERE l.status IN ('VALIDATING', 'IN_PROGRESS', 'FINALIZING', 'COMPLETED')
        AND NOT EXISTS (SELECT FROM batch_assets.batch AS b WHERE b.id = l.id)
    ORDER BY l."createdAt", l.id
    ON CONFLICT DO NOTHING
    RETURNING id, company_id
), rows_of_them AS (
    INSERT INTO batch_assets.attempt (batch_id, request_id, company_id)
    SELECT adopted.id, r.id, adopted.company_id
    FROM adopted
    JOIN public."AIProcessingRequest" AS r
        ON r."batchId" = adopted.id AND r."processingStatus" = 'BATCHING_IN_PROGRESS'
)
SELECT count(*) FROM adopted
