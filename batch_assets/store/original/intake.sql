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
    )

-- name: notice_pending
INSERT INTO batch_assets.intake (request_id, company_id, model, requested_at)
SELECT r.id, s."companyId", r.model, r."requestedAt"
FROM public."Session" AS s
JOIN public."AIProcessingRequest" AS r ON r."sessionId" = s.id
WHERE s."companyId" = :company_id
    AND r."processingStatus" = 'PENDING_BATCHING'
    AND r."batchId" IS NULL
    AND NOT EXISTS (SELECT FROM batch_assets.intake AS i WHERE i.request_id = r.id)
ORDER BY r."requestedAt", r.id
LIMIT :limit
ON CONFLICT (request_id) DO NOTHING

-- name: pending_of_company
SELECT
    count(*) AS requests,
    coalesce(extract(epoch FROM clock_timestamp() - min(i.requested_at)), 0)::float8
        AS oldest_wait_seconds
FROM batch_assets.intake AS i
WHERE i.company_id = :company_id
