-- name: absent
UPDATE batch_assets.batch AS b
SET absences = b.absences + 1,
    absent_since = coalesce(b.absent_since, clock_timestamp()),
    account = :account,
    lease_owner = NULL,
    lease_expires_at = NULL
FROM unnest(
    (SELECT CAST(:batch_ids AS text[])), (SELECT CAST(:fences AS bigint[]))
) AS g (id, fence)
WHERE b.id = g.id AND b.fence = g.fence AND b.state IN ('claimed', 'uploaded')

-- name: adopt_foreign
-- No installation id: they are read to the end like ours, but never cancelled and nothing of them
-- is deleted. Company by company, since LiveDash's index on the status begins with the company.
WITH adopted AS (
    INSERT INTO batch_assets.batch
        (id, company_id, state, requests, input_file_id, openai_batch_id, server_status,
        server_status_since, claimed_at, submitted_at)
    SELECT
        l.id, l."companyId", 'submitted',
        (SELECT count(*) FROM public."AIProcessingRequest" AS r WHERE r."batchId" = l.id),
        l."inputFileId", l."openaiBatchId", 'in_progress',
        clock_timestamp(), d.made_at, d.made_at
    FROM public."Company" AS c
    CROSS JOIN LATERAL (
        SELECT f.id, f."companyId", f."inputFileId", f."openaiBatchId", f."createdAt"
        FROM public."AIBatchRequest" AS f
        WHERE f."companyId" = c.id
            AND f.status IN ('VALIDATING', 'IN_PROGRESS', 'FINALIZING', 'COMPLETED')
            AND NOT EXISTS (SELECT FROM batch_assets.batch AS b WHERE b.id = f.id)
        OFFSET 0
    ) AS l
    -- here: made_at
    ORDER BY l."createdAt", l.id
    ON CONFLICT DO NOTHING
    RETURNING id, company_id
), rows_of_them AS (
    INSERT INTO batch_assets.attempt (batch_id, request_id, company_id)
    SELECT adopted.id, r.id, adopted.company_id
    FROM adopted
    JOIN public."AIProcessingRequest" AS r
        ON r."batchId" = adopted.id
        AND CAST(r."processingStatus" AS text) = 'BATCHING_IN_PROGRESS'
)
SELECT count(*) FROM adopted
